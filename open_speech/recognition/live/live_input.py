"""Live input, shared by all live APIs: the audio of one stream, and the utterance that is being transcribed from it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from open_speech.audio import Audio
from open_speech.recognition.live.input_buffer import InputBuffer
from open_speech.recognition.live.turn_detection import Paused, TurnDetector, TurnEvent
from open_speech.recognition.live.utterance import Utterance

HISTORY_S = 2.0
"""Seconds of processed audio that stay in the buffer: speech is detected a moment late, so an utterance may start in them."""

Samples = TypeVar("Samples", bytes, NDArray[np.float32])


def steps(samples: Samples, rate: int, step_s: float, *, width: int = 1) -> Iterator[Samples]:
    """Split audio at `rate` Hertz into steps of `step_s` seconds; a sample takes `width` elements of `samples`.

    Callers process large amounts of audio step by step, so that other tasks can run in between.
    """
    size = max(1, round(step_s * rate)) * width
    return (samples[start : start + size] for start in range(0, len(samples), size))


class LiveInput:
    """The audio of one live stream. Times are seconds since its start.

    A caller handles one step of audio as follows. `take` adds it and returns the turn events in it. The caller decides what they mean, and
    calls `begin`, `leave` or `end`. `advance` then feeds the utterance in progress. Only `room` waits. There are no callbacks.
    """

    def __init__(self, buffer: InputBuffer, *, looks_ahead: bool = True) -> None:
        """With `looks_ahead`, a pause starts the final pass early, so that the text is ready if the pause is the end of the turn."""
        self._buffer = buffer
        self._looks_ahead = looks_ahead
        self._utterance: Utterance | None = None
        self._fed_s = 0.0

    @property
    def seconds(self) -> float:
        """Seconds of audio received so far."""
        return self._buffer.seconds

    @property
    def fed_s(self) -> float:
        """Time, in seconds, up to which an utterance has been fed."""
        return self._fed_s

    @property
    def is_open(self) -> bool:
        """Whether an utterance is in progress."""
        return self._utterance is not None

    @property
    def has_failed(self) -> bool:
        """Whether the utterance in progress has failed; its `finish` raises the error."""
        return self._utterance is not None and self._utterance.has_failed

    @property
    def settled_s(self) -> float:
        """Seconds of the utterance in progress whose text is final; 0 without one."""
        return 0.0 if self._utterance is None else self._utterance.settled_s

    def tune(self, turns: TurnDetector | None) -> None:
        """Detect turns with another detector from now on, or not at all."""
        self._buffer.tune(turns)

    def take(self, audio: Audio) -> list[TurnEvent]:
        """Take the next audio, at any rate; return the turn events in it."""
        return self._buffer.feed(audio)

    def flush(self) -> list[TurnEvent]:
        """Take the milliseconds that the resampler still holds; return the turn events in them."""
        return self._buffer.flush()

    def begin(self, utterance: Utterance, start_s: float) -> None:
        """Start to feed an utterance, from `start_s` on."""
        self._utterance, self._fed_s = utterance, start_s

    def feed(self, until_s: float) -> None:
        """Feed the utterance in progress with the audio up to a time that has arrived and was not fed yet."""
        until_s = min(until_s, self.seconds)
        if self._utterance is not None and until_s > self._fed_s:
            self._utterance.feed(self._buffer.cut(self._fed_s, until_s))
            self._fed_s = until_s

    def advance(self, events: Sequence[TurnEvent], *, keep_s: float = HISTORY_S) -> None:
        """Complete a step whose turn events were handled: feed all of it to the utterance in progress, and drop older audio.

        `keep_s` is the number of seconds that stay in the buffer; infinity keeps everything.
        """
        now = self.seconds
        self.feed(now)
        # A pause that ended within the step is ignored.
        if self._utterance is not None and self._looks_ahead and events and isinstance(events[-1], Paused):
            self._utterance.pause()
        self.forget(max(0.0, now - keep_s))

    def leave(self, until_s: float | None = None) -> Utterance:
        """Feed the utterance in progress up to a time, or with all audio, then detach it. It has not ended: `begin` may continue it."""
        self.feed(self.seconds if until_s is None else until_s)
        assert self._utterance is not None
        utterance, self._utterance = self._utterance, None
        return utterance

    def end(self, until_s: float | None = None) -> Utterance:
        """End the utterance in progress at a time, or after all audio; return it, so that the caller can await its text."""
        utterance = self.leave(until_s)
        utterance.end()
        return utterance

    def drop(self) -> None:
        """Cancel the utterance in progress, if any."""
        utterance, self._utterance = self._utterance, None
        if utterance is not None:
            utterance.cancel()

    def forget(self, before_s: float) -> None:
        """Drop audio before a time."""
        self._buffer.forget(before_s)

    async def room(self) -> None:
        """Wait until the utterance in progress can take more audio. Callers that may feed faster than real time await this."""
        if self._utterance is not None:
            await self._utterance.room()
