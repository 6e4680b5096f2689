"""The audio of one live stream: resampled to VAD_RATE, buffered while it is needed, and searched for turns."""

from __future__ import annotations

from collections import deque

import numpy as np
from numpy.typing import NDArray

from open_speech.audio import Audio, StreamResampler
from open_speech.recognition.live.segmenter import Detector
from open_speech.recognition.live.turn_detection import TurnDetector, TurnEvent
from open_speech.recognition.vad import VAD_RATE

LONGEST_S = 1800.0
"""Maximum seconds in the buffer, at 64 kB per second; older audio is dropped."""


class InputBuffer:
    """The audio of one connection. Blocking: about a millisecond for a second of audio."""

    def __init__(self, detector: Detector | None, turns: TurnDetector | None, *, longest_s: float = LONGEST_S) -> None:
        """Take a speech detector and a turn detector; no turns are detected if either is None.

        `longest_s` is the maximum length of the buffer in seconds.
        """
        self._detector = detector
        self._turns = turns
        self._longest = round(longest_s * VAD_RATE)
        self._resampler: StreamResampler | None = None
        self._source_rate = 0
        self._blocks: deque[NDArray[np.float32]] = deque()
        self._start = 0
        """Position of the first sample of `_blocks` in the stream."""
        self._total = 0
        """Samples received so far, at VAD_RATE."""
        self._frames = 0
        """Frames that the detector has processed."""

    @property
    def seconds(self) -> float:
        """Seconds of audio received so far, including audio that was dropped."""
        return self._total / VAD_RATE

    @property
    def start_s(self) -> float:
        """Time, in seconds, at which the buffered audio begins."""
        return self._start / VAD_RATE

    def tune(self, turns: TurnDetector | None) -> None:
        """Detect turns with another detector from now on, or not at all; a turn in progress is dropped."""
        self._turns = turns
        if turns is not None:
            turns.skip(self._frames)

    def feed(self, audio: Audio) -> list[TurnEvent]:
        """Take the next audio, at any rate; return the turn events in it."""
        if audio.rate != self._source_rate:
            events = self.flush()
            self._source_rate = audio.rate
            self._resampler = StreamResampler(audio.rate, VAD_RATE)
            return events + self.feed(audio)
        assert self._resampler is not None
        return self._take(self._resampler.feed(audio).samples)

    def flush(self) -> list[TurnEvent]:
        """Take the few milliseconds that the resampler still holds; return the turn events in them. The next audio starts a new signal."""
        if self._resampler is None:
            return []
        rest = self._resampler.feed(Audio(np.zeros(0, np.float32), self._source_rate), last=True)
        self._resampler, self._source_rate = None, 0
        return self._take(rest.samples)

    def cut(self, start_s: float, end_s: float) -> Audio:
        """Return the audio between two times, at VAD_RATE, without parts that were dropped or have not arrived yet."""
        first, last = max(self._start, round(start_s * VAD_RATE)), min(self._total, round(end_s * VAD_RATE))
        found, at = [np.zeros(0, np.float32)], self._start
        for block in self._blocks:
            if at < last and at + len(block) > first:
                found.append(block[max(0, first - at) : last - at])
            at += len(block)
        return Audio(np.concatenate(found), VAD_RATE)

    def forget(self, before_s: float) -> None:
        """Drop the audio before a time."""
        self._drop(min(self._total, round(before_s * VAD_RATE)))

    def _take(self, samples: NDArray[np.float32]) -> list[TurnEvent]:
        if not len(samples):
            return []
        self._blocks.append(samples)
        self._total += len(samples)
        self._drop(self._total - self._longest)
        if self._detector is None:
            return []
        probabilities = self._detector.feed(samples)
        self._frames += len(probabilities)
        return self._turns.feed(probabilities) if self._turns is not None else []

    def _drop(self, before: int) -> None:
        while self._blocks and self._start < before:
            block = self._blocks[0]
            drop = min(len(block), before - self._start)
            self._start += drop
            if drop == len(block):
                self._blocks.popleft()
            else:
                self._blocks[0] = block[drop:].copy()
