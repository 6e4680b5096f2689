"""Splits the audio of an utterance in progress into windows: the complete ones, and the open one at its end."""

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

AudioWindow = tuple[Cut, Audio]


QUIETEST, SPAN = -60.0, 40.0
"""Decibels: a frame of QUIETEST or less counts as silence, a frame that is louder by SPAN or more as certain speech."""


class Detector(Protocol):
    """Samples at VAD_RATE -> the speech probability of each frame of 32 ms; vad.SpeechProbabilities is one."""

    def feed(self, samples: NDArray[np.float32], *, last: bool = False) -> NDArray[np.float32]:
        """Take samples of shape (n,); return the probability of each complete frame, shape (m,), in [0, 1]."""
        ...


class Loudness:
    """A detector that treats loud audio as speech: for servers without a speech detector."""

    def __init__(self) -> None:
        self._rest = np.zeros(0, np.float32)

    def feed(self, samples: NDArray[np.float32], *, last: bool = False) -> NDArray[np.float32]:
        """Take samples of shape (n,); return the loudness of each complete frame, shape (m,), in [0, 1]."""
        waiting = np.concatenate([self._rest, samples])
        if last:
            waiting = np.pad(waiting, (0, -len(waiting) % FRAME))
        count = len(waiting) // FRAME
        self._rest = waiting[count * FRAME :]
        power = np.square(waiting[: count * FRAME].reshape(count, FRAME)).mean(axis=1)
        decibels = 10 * np.log10(np.maximum(power, 1e-10))
        return np.asarray(np.clip((decibels - QUIETEST) / SPAN, 0, 1), np.float32)


class Windowing(Protocol):
    """Speech probabilities -> windows, each as soon as later frames cannot change it; windows.WindowCutter is one."""

    @property
    def settled_s(self) -> float:
        """Seconds from the start before which no future window begins."""
        ...

    def feed(self, probabilities: Iterable[float]) -> list[Cut]:
        """Take the probabilities of the next frames; return the windows that are complete."""
        ...

    def finish(self) -> list[Cut]:
        """Return the remaining windows at the end."""
        ...


class ContinuousWindows:
    """Windowing for a backend that takes all audio, silence included: one window, and another only when it becomes too long."""

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
        """Take the probabilities of the next frames; return the windows that are complete.

        A window that is too long ends at the quietest frame of its second half.
        """
        done = []
        for probability in probabilities:
            self._open.append(float(probability))
            if len(self._open) * FRAME_S > self._longest_s:
                half = len(self._open) // 2
                smooth = np.convolve(self._open[half:], np.ones(5) / 5, "same")
                done.append(self._cut(half + 1 + int(np.argmin(smooth[1:-1]))))
        return done

    def finish(self) -> list[Cut]:
        """Return the remaining window at the end."""
        return [self._cut(len(self._open))] if self._open else []

    def _cut(self, frames: int) -> Cut:
        speech = [at for at, probability in enumerate(self._open[:frames]) if probability >= self._threshold]
        start, end = self._begun_s, self._begun_s + frames * FRAME_S
        span = Span(start + speech[0] * FRAME_S, start + (speech[-1] + 1) * FRAME_S) if speech else Span(start, end)
        self._begun_s, self._open = end, self._open[frames:]
        return Cut(start, end, (span,))


class Segmenter:
    """Takes audio at VAD_RATE in pieces. Blocking, about a millisecond per second; memory is that of the open window."""

    def __init__(self, detector: Detector, windowing: Windowing) -> None:
        self._detector = detector
        self._windowing = windowing
        self._samples = np.zeros(0, np.float32)
        self._first = 0
        """Position of the first sample of `_samples` in the utterance."""

    @property
    def seconds(self) -> float:
        """Seconds of audio so far."""
        return (self._first + len(self._samples)) / VAD_RATE

    @property
    def settled_s(self) -> float:
        """Seconds from the start before which no future window begins."""
        return min(self._windowing.settled_s, self.seconds)

    def feed(self, samples: NDArray[np.float32]) -> list[AudioWindow]:
        """Take the next samples; return the windows that are complete, with their audio."""
        self._samples = np.concatenate([self._samples, samples])
        done = self._with_audio(self._windowing.feed(self._detector.feed(samples)))
        needed = min(len(self._samples), max(0, int(self._windowing.settled_s * VAD_RATE) - self._first))
        self._samples, self._first = self._samples[needed:], self._first + needed
        return done

    def open(self) -> list[AudioWindow]:
        """Return the windows as if the audio ended here."""
        return self._with_audio(copy.deepcopy(self._windowing).finish())

    def finish(self) -> list[AudioWindow]:
        """Return the remaining windows at the end."""
        rest = self._detector.feed(np.zeros(0, np.float32), last=True)
        return self._with_audio(self._windowing.feed(rest) + self._windowing.finish())

    def _with_audio(self, cuts: Iterable[Cut]) -> list[AudioWindow]:
        return [(cut, Audio(cut.cut_out(self._samples, self._first, VAD_RATE), VAD_RATE)) for cut in cuts]
