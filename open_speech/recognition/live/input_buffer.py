"""The audio of one live stream: resampled to VAD_RATE, buffered while it is needed, and searched for turns."""

from __future__ import annotations

import math
from collections import deque

import numpy as np
from numpy.typing import NDArray

from open_speech.audio import Audio, StreamResampler
from open_speech.recognition.live.segmenter import Detector
from open_speech.recognition.live.turn_detection import Endpointer, Question, TurnEvent
from open_speech.recognition.vad import VAD_RATE

LONGEST_S = 1800.0
"""Maximum seconds in the buffer, at 64 kB per second; older audio is dropped."""


class InputBuffer:
    """The audio of one connection. Blocking: about a millisecond for a second of audio.

    While a question about a turn is open, the audio after its position waits and counts as not received. `answer` releases it.
    """

    def __init__(self, detector: Detector | None, turns: Endpointer | None, *, longest_s: float = LONGEST_S) -> None:
        """Take a speech detector and an endpointer; no turns are detected if either is None.

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
        self._arrived: deque[NDArray[np.float32]] = deque()
        """Audio after an open question."""

    @property
    def seconds(self) -> float:
        """Seconds of audio received so far, including audio that was dropped."""
        return self._total / VAD_RATE

    @property
    def start_s(self) -> float:
        """Time, in seconds, at which the buffered audio begins."""
        return self._start / VAD_RATE

    @property
    def question(self) -> Question | None:
        """The open question about the turn in progress; its `answer` is due before the next audio."""
        return self._turns.question if self._turns is not None else None

    @property
    def needed_s(self) -> float:
        """Time, in seconds, from which on a later question may contain the audio; infinity without one."""
        return self._turns.needed_s if self._turns is not None else math.inf

    def tune(self, turns: Endpointer | None) -> None:
        """Detect turns with another endpointer from now on, or not at all; a turn in progress continues."""
        before, self._turns = self._turns, turns
        if turns is not None and before is not None:
            turns.follow(before)
        elif turns is not None:
            turns.skip(self._frames)
        self._release()

    def answer(self, is_complete: bool | None) -> list[TurnEvent]:
        """Answer the open question, as `Endpointer.answer` does; return the turn events in the audio that has waited for it."""
        events = self._turns.answer(is_complete) if self._turns is not None else []
        self._release()
        return events

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
        """Take the few milliseconds that the resampler still holds; return the turn events in them. The next audio starts a new signal.

        No question stays open: nobody may be there to answer it.
        """
        events = self._unasked([])
        if self._resampler is None:
            return events
        rest = self._resampler.feed(Audio(np.zeros(0, np.float32), self._source_rate), last=True)
        self._resampler, self._source_rate = None, 0
        return self._unasked([*events, *self._take(rest.samples)])

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
        self._arrived.append(samples)
        events: list[TurnEvent] = []
        if self._detector is not None:
            probabilities = self._detector.feed(samples)
            self._frames += len(probabilities)
            events = self._turns.feed(probabilities) if self._turns is not None else []
        self._release()
        return events

    def _unasked(self, events: list[TurnEvent]) -> list[TurnEvent]:
        """Leave the open question, and those after it, to the silence; return all events."""
        while self.question is not None:
            events = [*events, *self.answer(None)]
        return events

    def _release(self) -> None:
        """Add the audio that has arrived to the buffer, up to the position of an open question."""
        until = self._total + sum(map(len, self._arrived)) if self.question is None else round(self.question.end_s * VAD_RATE)
        while self._arrived and self._total < until:
            block = self._arrived.popleft()
            if len(block) > until - self._total:
                self._arrived.appendleft(block[until - self._total :])
                block = block[: until - self._total]
            self._blocks.append(block)
            self._total += len(block)
        self._drop(self._total - self._longest)

    def _drop(self, before: int) -> None:
        while self._blocks and self._start < before:
            block = self._blocks[0]
            drop = min(len(block), before - self._start)
            self._start += drop
            if drop == len(block):
                self._blocks.popleft()
            else:
                self._blocks[0] = block[drop:].copy()
