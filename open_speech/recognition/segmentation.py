"""Decoded audio -> windows of speech with their sound, in memory that does not grow with the file. Blocking."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from open_speech.audio import Audio
from open_speech.recognition.vad import VAD_RATE, SpeechProbabilities
from open_speech.recognition.windows import Cut, WindowCutter


class Cutting:
    """The windows of one audio as an iterator, and how far it has come."""

    def __init__(self, blocks: Iterable[Audio], speech: SpeechProbabilities, cutter: WindowCutter) -> None:
        """`blocks` are at VAD_RATE and come one after the other; they are drawn as windows are asked for."""
        self.seconds = 0.0
        """Audio seen so far; the length of the whole once the iterator has ended."""
        self._blocks = blocks
        self._speech = speech
        self._cutter = cutter
        self._kept = np.zeros(0, np.float32)
        self._kept_from = 0
        """Sample at which what is kept begins."""

    def __iter__(self) -> Iterator[tuple[Cut, Audio]]:
        """Yield each window and its sound. Raises what drawing a block raises."""
        for block in self._blocks:
            yield from self._after(block.samples, self._cutter.feed(self._speech.feed(block.samples)))
        nothing = np.zeros(0, np.float32)
        rest = self._cutter.feed(self._speech.feed(nothing, last=True)) + self._cutter.finish()
        yield from self._after(nothing, rest)

    def _after(self, samples: np.ndarray[tuple[int], np.dtype[np.float32]], cuts: list[Cut]) -> Iterator[tuple[Cut, Audio]]:
        self.seconds += len(samples) / VAD_RATE
        self._kept = np.concatenate([self._kept, samples])
        for cut in cuts:
            yield cut, Audio(cut.cut_out(self._kept, self._kept_from, VAD_RATE), VAD_RATE)
        needed = max(0, int(self._cutter.settled_s * VAD_RATE) - self._kept_from)
        self._kept, self._kept_from = self._kept[needed:], self._kept_from + min(needed, len(self._kept))


DETECT_WINDOWS, DETECT_APART_S = 4, 45.0
"""Windows by which a language is told, and the seconds between the beginnings of two of them."""


def far_apart(cutting: Cutting) -> list[Audio]:
    """Take a few windows from the beginning of an audio, some time apart."""
    chosen: list[Audio] = []
    last = float("-inf")
    for cut, sound in cutting:
        if cut.start - last >= DETECT_APART_S:
            chosen.append(sound)
            last = cut.start
        if len(chosen) == DETECT_WINDOWS:
            break
    return chosen
