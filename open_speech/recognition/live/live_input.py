"""Live input, shared by all live APIs: the audio of one stream, and the utterance that is being transcribed from it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from open_speech.audio import Audio
from open_speech.recognition.live.input_buffer import InputBuffer
from open_speech.recognition.live.turn_decider import TurnDecider
from open_speech.recognition.live.turn_detection import Endpointer, Paused, TurnEvent
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
    calls `begin`, `leave` or `end`. `advance` then feeds the utterance in progress. While `is_asking`, the rest of the step waits for
    `decide`, which returns the next events, and the caller handles them in the same way. Only `room` and `decide` wait. There are no
    callbacks.
    """

    def __init__(self, buffer: InputBuffer, *, looks_ahead: bool = True, decider: TurnDecider | None = None) -> None:
        """With `looks_ahead`, a pause starts the final pass early, so that the text is ready if the pause is the end of the turn.

        `decider` answers the questions of semantic turns; without one, the silence alone decides.
        """
        self._buffer = buffer
        self._decider = decider
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

    @property
    def is_asking(self) -> bool:
        """Whether audio waits for the decision whether a turn is complete."""
        return self._buffer.question is not None

    def tune(self, turns: Endpointer | None) -> None:
        """Detect turns with another endpointer from now on, or not at all."""
        self._buffer.tune(turns)

    def take(self, audio: Audio) -> list[TurnEvent]:
        """Take the next audio, at any rate; return the turn events in it."""
        return self._buffer.feed(audio)

    async def decide(self) -> list[TurnEvent]:
        """Ask whether the turn in progress is complete; return the turn events in the audio that has waited for the answer."""
        question = self._buffer.question
        if question is None:
            return []
        audio = self._buffer.cut(question.start_s, question.end_s)
        is_complete = None if self._decider is None else await self._decider.is_complete(audio)
        # The turn may have been dropped in the meantime.
        events = self._buffer.answer(is_complete) if self._buffer.question is question else []
        if not events and self._buffer.question is None:
            self._look_ahead()
        return events

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

        `keep_s` is the number of seconds that stay in the buffer; infinity keeps everything. Audio of a later question stays as well.
        """
        now = self.seconds
        self.feed(now)
        # A pause that ended within the step is ignored. At a question, the final pass would take the processor from the decision, which on
        # two busy cores was then late: it starts after the answer.
        if events and isinstance(events[-1], Paused) and not self.is_asking:
            self._look_ahead()
        self.forget(max(0.0, min(now - keep_s, self._buffer.needed_s)))

    def resume(self) -> None:
        """Report that speech continues after a pause: the text of that pause is not reported early any more."""
        if self._utterance is not None:
            self._utterance.resume()

    def _look_ahead(self) -> None:
        if self._utterance is not None and self._looks_ahead:
            self._utterance.pause()

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
