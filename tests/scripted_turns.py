"""Turns without models: audio whose level says what it is, a speech detector and a turn detector that know it."""

from __future__ import annotations

import time

import numpy as np
from numpy.typing import NDArray

from open_speech.audio import Audio
from open_speech.recognition.vad import FRAME, VAD_RATE


class LoudFrames:
    """A speech detector: a frame is speech if it is not silent."""

    def __init__(self) -> None:
        self._rest = np.zeros(0, np.float32)

    def stream(self) -> LoudFrames:
        return LoudFrames()

    def feed(self, samples: NDArray[np.float32], *, last: bool = False) -> NDArray[np.float32]:
        waiting = np.concatenate([self._rest, samples])
        count = len(waiting) // FRAME
        self._rest = waiting[count * FRAME :]
        return (np.abs(waiting[: count * FRAME].reshape(count, FRAME)).max(axis=1) > 0.01).astype(np.float32)


class ByLevel:
    """A turn detector: a turn is complete if its last speech was loud. It may take its time, or fail."""

    def __init__(self, *, takes_s: float = 0.0, fails: bool = False) -> None:
        self.takes_s = takes_s
        self.fails = fails
        self.asked = 0

    def is_complete(self, audio: Audio) -> bool:
        self.asked += 1
        time.sleep(self.takes_s)
        if self.fails:
            raise RuntimeError("out of memory")
        spoken = audio.samples[np.abs(audio.samples) > 0.01]
        return bool(spoken[-1] > 0.4)


def said(pattern: str) -> bytes:
    """Return a tenth of a second for each mark: `#` ends a complete turn, `+` one that is not complete, `.` is silence."""
    levels = {"#": 0.5, "+": 0.3, ".": 0.0}
    samples = np.concatenate([np.full(VAD_RATE // 10, levels[mark], np.float32) for mark in pattern])
    return (samples * 32768).astype("<i2").tobytes()
