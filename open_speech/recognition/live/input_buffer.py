"""The sound of one live stream: brought to one rate, kept as long as it is needed, and listened to for turns."""

from __future__ import annotations

from collections import deque

import numpy as np
from numpy.typing import NDArray

from open_speech.audio import Audio, StreamResampler
from open_speech.recognition.live.segmenter import Detector
from open_speech.recognition.live.turn_detection import TurnDetector, TurnEvent
from open_speech.recognition.vad import VAD_RATE

LONGEST_S = 1800.0
"""Seconds that are kept at most; older sound is dropped. 64 kB each."""


class InputBuffer:
    """What comes in over one connection. Blocking, but tiny: about a millisecond for a second of sound."""

    def __init__(self, detector: Detector | None, turns: TurnDetector | None, *, longest_s: float = LONGEST_S) -> None:
        """Without `turns` nobody listens for them, and never without a detector.

        `longest_s` is how many seconds are kept though nobody forgets them.
        """
        self._detector = detector
        self._turns = turns
        self._longest = round(longest_s * VAD_RATE)
        self._resampler: StreamResampler | None = None
        self._source_rate = 0
        self._kept: deque[NDArray[np.float32]] = deque()
        self._from = 0
        """Sample at which what is kept begins."""
        self._heard = 0
        """Samples heard so far, at VAD_RATE."""
        self._frames = 0
        """Frames that the detector has told of."""

    @property
    def seconds(self) -> float:
        """How much was heard so far, forgotten sound included."""
        return self._heard / VAD_RATE

    @property
    def kept_from_s(self) -> float:
        """Where the sound begins that is still there."""
        return self._from / VAD_RATE

    def tune(self, turns: TurnDetector | None) -> None:
        """Tell turns by other rules from here on, or not at all; a turn that is going on is forgotten."""
        self._turns = turns
        if turns is not None:
            turns.skip(self._frames)

    def hear(self, audio: Audio) -> list[TurnEvent]:
        """Take the next sound, at whatever rate, and tell what happened in it."""
        if audio.rate != self._source_rate:
            events = self.flush()
            self._source_rate = audio.rate
            self._resampler = StreamResampler(audio.rate, VAD_RATE)
            return events + self.hear(audio)
        assert self._resampler is not None
        return self._take(self._resampler.feed(audio).samples)

    def flush(self) -> list[TurnEvent]:
        """Bring out the few milliseconds that resampling still holds back; what comes next is a sound of its own."""
        if self._resampler is None:
            return []
        rest = self._resampler.feed(Audio(np.zeros(0, np.float32), self._source_rate), last=True)
        self._resampler, self._source_rate = None, 0
        return self._take(rest.samples)

    def cut(self, start_s: float, end_s: float) -> Audio:
        """Give the sound between two times, at VAD_RATE; what was forgotten, or is still to come, is left out."""
        first, last = max(self._from, round(start_s * VAD_RATE)), min(self._heard, round(end_s * VAD_RATE))
        found, at = [np.zeros(0, np.float32)], self._from
        for block in self._kept:
            if at < last and at + len(block) > first:
                found.append(block[max(0, first - at) : last - at])
            at += len(block)
        return Audio(np.concatenate(found), VAD_RATE)

    def forget(self, before_s: float) -> None:
        """Let go of the sound before a time."""
        self._forget(min(self._heard, round(before_s * VAD_RATE)))

    def _take(self, samples: NDArray[np.float32]) -> list[TurnEvent]:
        if not len(samples):
            return []
        self._kept.append(samples)
        self._heard += len(samples)
        self._forget(self._heard - self._longest)
        if self._detector is None:
            return []
        probabilities = self._detector.feed(samples)
        self._frames += len(probabilities)
        return self._turns.feed(probabilities) if self._turns is not None else []

    def _forget(self, before: int) -> None:
        while self._kept and self._from < before:
            block = self._kept[0]
            drop = min(len(block), before - self._from)
            self._from += drop
            if drop == len(block):
                self._kept.popleft()
            else:
                self._kept[0] = block[drop:].copy()
