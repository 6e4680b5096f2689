"""Decoded audio -> windows of speech with their audio, in memory that does not grow with the file. Blocking."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from open_speech.audio import Audio
from open_speech.recognition.vad import VAD_RATE, SpeechProbabilities
from open_speech.recognition.windows import Cut, WindowCutter


class WindowStream:
    """An iterator of the windows of one audio stream, which also counts the seconds read."""

    def __init__(self, blocks: Iterable[Audio], speech: SpeechProbabilities, cutter: WindowCutter) -> None:
        """`blocks` are consecutive, at VAD_RATE; they are read as windows are requested."""
        self.seconds = 0.0
        """Seconds of audio read so far; the total length once the iterator has ended."""
        self._blocks = blocks
        self._speech = speech
        self._cutter = cutter
        self._samples = np.zeros(0, np.float32)
        self._first = 0
        """Position of the first sample of `_samples` in the audio."""

    def __iter__(self) -> Iterator[tuple[Cut, Audio]]:
        """Yield each window and its audio. Raises what reading a block raises."""
        for block in self._blocks:
            yield from self._windows(block.samples, self._cutter.feed(self._speech.feed(block.samples)))
        empty = np.zeros(0, np.float32)
        rest = self._cutter.feed(self._speech.feed(empty, last=True)) + self._cutter.finish()
        yield from self._windows(empty, rest)

    def _windows(self, samples: np.ndarray[tuple[int], np.dtype[np.float32]], cuts: list[Cut]) -> Iterator[tuple[Cut, Audio]]:
        self.seconds += len(samples) / VAD_RATE
        self._samples = np.concatenate([self._samples, samples])
        for cut in cuts:
            yield cut, Audio(cut.cut_out(self._samples, self._first, VAD_RATE), VAD_RATE)
        needed = max(0, int(self._cutter.settled_s * VAD_RATE) - self._first)
        self._samples, self._first = self._samples[needed:], self._first + min(needed, len(self._samples))


DETECT_WINDOWS, DETECT_EVERY_S = 4, 45.0
"""Number of windows by which a language is detected, and the minimum seconds between the starts of two of them."""


def pilot_windows(windows: WindowStream) -> list[Audio]:
    """Return the audio of up to DETECT_WINDOWS windows whose starts are at least DETECT_EVERY_S seconds apart."""
    chosen: list[Audio] = []
    last = float("-inf")
    for cut, audio in windows:
        if cut.start - last >= DETECT_EVERY_S:
            chosen.append(audio)
            last = cut.start
        if len(chosen) == DETECT_WINDOWS:
            break
    return chosen
