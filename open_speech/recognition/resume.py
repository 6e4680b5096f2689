"""Resume an interrupted transcription: skip the audio that is done, and shift the new segments to their times in the whole. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from open_speech.audio import Audio
from open_speech.transcript import Segment


def skip_start(blocks: Iterable[Audio], start_s: float) -> Iterator[Audio]:
    """Drop the first `start_s` seconds of audio in blocks of one rate. Yields one block for each block, possibly an empty one."""
    passed = 0
    for block in blocks:
        skipped = max(0, round(start_s * block.rate) - passed)
        passed += len(block.samples)
        yield Audio(block.samples[skipped:], block.rate)


def moved(segment: Segment, by_s: float) -> Segment:
    """Move a segment and its words later by `by_s` seconds."""
    words = tuple(replace(word, start=word.start + by_s, end=word.end + by_s) for word in segment.words)
    return replace(segment, start=segment.start + by_s, end=segment.end + by_s, words=words, seek=segment.seek + round(by_s * 100))
