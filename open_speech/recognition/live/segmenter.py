"""The sound of something that is still being said, and the windows it falls into: those that are complete, and the one that is open."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from open_speech.audio import Audio
from open_speech.recognition.live.turn_detection import FRAME_S
from open_speech.recognition.vad import FRAME, VAD_RATE
from open_speech.recognition.windows import Cut, Span

Stretch = tuple[Cut, Audio]


QUIETEST, SPAN = -60.0, 40.0
"""Decibels: a frame of QUIETEST or less counts as silence, one SPAN louder is as good as speech."""


class Detector(Protocol):
    """Samples at VAD_RATE -> how surely somebody speaks, for each frame of 32 ms; vad.SpeechStream is one."""

    def feed(self, samples: NDArray[np.float32], *, last: bool = False) -> NDArray[np.float32]:
        """Give samples of shape (n,); get the probability of each frame that is complete, shape (m,), in [0, 1]."""
        ...


class Loudness:
    """Takes what is loud for speech: for a server that has no speech detector, or wants none."""

    def __init__(self) -> None:
        self._rest = np.zeros(0, np.float32)

    def feed(self, samples: NDArray[np.float32], *, last: bool = False) -> NDArray[np.float32]:
        """Give samples of shape (n,); get the loudness of each frame that is complete, shape (m,), in [0, 1]."""
        waiting = np.concatenate([self._rest, samples])
        if last:
            waiting = np.pad(waiting, (0, -len(waiting) % FRAME))
        count = len(waiting) // FRAME
        self._rest = waiting[count * FRAME :]
        power = np.square(waiting[: count * FRAME].reshape(count, FRAME)).mean(axis=1)
        decibels = 10 * np.log10(np.maximum(power, 1e-10))
        return np.asarray(np.clip((decibels - QUIETEST) / SPAN, 0, 1), np.float32)


class Windowing(Protocol):
    """Speech probabilities -> windows, each as soon as nothing that comes can change it; windows.Cutter is one."""

    @property
    def settled_s(self) -> float:
        """Seconds from the start before which no future window begins."""
        ...

    def feed(self, probabilities: Iterable[float]) -> list[Cut]:
        """Take the probabilities of the next frames, give the windows that are complete."""
        ...

    def finish(self) -> list[Cut]:
        """Give what is left at the end."""
        ...


class Whole:
    """Windowing for a backend that takes sound as it comes, silence and all: one window, and another only when it grows too long."""

    def __init__(self, threshold: float, *, longest_s: float) -> None:
        """A frame of `threshold` or more is speech; no window is longer than `longest_s`."""
        self._threshold = threshold
        self._longest_s = longest_s
        self._begun_s = 0.0
        self._open: list[float] = []

    @property
    def settled_s(self) -> float:
        """Seconds from the start before which no future window begins."""
        return self._begun_s

    def feed(self, probabilities: Iterable[float]) -> list[Cut]:
        """Take the probabilities of the next frames; a window that is too long ends at the quietest place of its later half."""
        done = []
        for probability in probabilities:
            self._open.append(float(probability))
            if len(self._open) * FRAME_S > self._longest_s:
                half = len(self._open) // 2
                smooth = np.convolve(self._open[half:], np.ones(5) / 5, "same")
                done.append(self._cut(half + 1 + int(np.argmin(smooth[1:-1]))))
        return done

    def finish(self) -> list[Cut]:
        """Give what is left at the end."""
        return [self._cut(len(self._open))] if self._open else []

    def _cut(self, frames: int) -> Cut:
        speech = [at for at, probability in enumerate(self._open[:frames]) if probability >= self._threshold]
        start, end = self._begun_s, self._begun_s + frames * FRAME_S
        spoken = Span(start + speech[0] * FRAME_S, start + (speech[-1] + 1) * FRAME_S) if speech else Span(start, end)
        self._begun_s, self._open = end, self._open[frames:]
        return Cut(start, end, (spoken,))


class Segmenter:
    """Takes sound at VAD_RATE piece by piece. Blocking, a millisecond for a second; the memory is that of the open window."""

    def __init__(self, detector: Detector, windowing: Windowing) -> None:
        self._detector = detector
        self._windowing = windowing
        self._kept = np.zeros(0, np.float32)
        self._from = 0
        """Sample at which what is kept begins."""

    @property
    def seconds(self) -> float:
        """How much sound there was so far."""
        return (self._from + len(self._kept)) / VAD_RATE

    def feed(self, samples: NDArray[np.float32]) -> list[Stretch]:
        """Take the next sound; give the windows that are complete, with theirs."""
        self._kept = np.concatenate([self._kept, samples])
        done = self._sounds(self._windowing.feed(self._detector.feed(samples)))
        needed = min(len(self._kept), max(0, int(self._windowing.settled_s * VAD_RATE) - self._from))
        self._kept, self._from = self._kept[needed:], self._from + needed
        return done

    def open(self) -> list[Stretch]:
        """Give the windows that there would be if nothing more came."""
        return self._sounds(copy.deepcopy(self._windowing).finish())

    def finish(self) -> list[Stretch]:
        """Give what is left at the end."""
        rest = self._detector.feed(np.zeros(0, np.float32), last=True)
        return self._sounds(self._windowing.feed(rest) + self._windowing.finish())

    def _sounds(self, cuts: Iterable[Cut]) -> list[Stretch]:
        return [(cut, Audio(cut.cut_out(self._kept, self._from, VAD_RATE), VAD_RATE)) for cut in cuts]
