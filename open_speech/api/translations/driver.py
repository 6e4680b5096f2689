"""Performs the effects of a translation session on the audio of one connection, and reports the results to the session."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Protocol

from open_speech.api.realtime.client_messages import Message
from open_speech.api.translations.messages import RATE
from open_speech.api.translations.output import Output
from open_speech.api.translations.session import (
    AppendAudio,
    Begin,
    Channel,
    Delta,
    Done,
    Drain,
    Effect,
    Finish,
    InputEffect,
    Report,
    Session,
    Translate,
)
from open_speech.audio import from_pcm16
from open_speech.backends import TranscribeOptions
from open_speech.concurrency.task_group import Tasks
from open_speech.errors import BackendFailed, SpeechError
from open_speech.http.ws_messages import Close, Send
from open_speech.recognition.live.live_input import LiveInput, steps
from open_speech.recognition.live.recognizer import SessionRecognizer
from open_speech.recognition.live.utterance import Utterance

log = logging.getLogger("open_speech.translations")

STEP_S = 1.0
"""Seconds of audio that are processed at a time: 2 ms of work, then other tasks run."""
MOST_FINISHING = 4
"""Maximum utterances whose text is pending; no more is read from the client until one is done."""
MOST_CLAUSES = 8
"""Maximum clauses whose translation is pending; no more is read from the client until one is done."""


class Outbox(Protocol):
    """The messages of one connection that wait to be sent."""

    def put(self, effect: Send | Close, /) -> None:
        """Append a message, or the end of the connection."""
        ...

    async def calm(self) -> None:
        """Wait until more may be produced."""
        ...


class Driver:
    """One connection, from its first audio to its last translation. The utterances are tasks of the running event loop."""

    def __init__(
        self,
        session: Session,
        inputs: Mapping[Channel, LiveInput],
        recognizers: Mapping[Channel, SessionRecognizer],
        output: Output,
        outbox: Outbox,
    ) -> None:
        """`inputs` has the audio of each channel; that of `source` detects the turns. `output` translates and speaks clauses."""
        self._session = session
        self._inputs = inputs
        self._recognizers = recognizers
        self._output = output
        self._outbox = outbox
        self._numbers: dict[Channel, int] = {}
        """The utterance in progress in each channel."""
        self._finishing: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Event()
        self._tasks = Tasks()

    @property
    def seconds(self) -> float:
        """Seconds of audio received so far."""
        return self._inputs["source"].seconds

    async def begin(self) -> None:
        """Start the session."""
        await self._perform(self._session.begin())

    async def receive(self, message: str | Message) -> None:
        """Handle a message of the client, no faster than its audio can be transcribed and translated."""
        await self._perform(self._session.receive(message))
        await self._room()

    def idle(self) -> None:
        """End the session because it was idle for too long."""
        self._emit(self._session.idle())

    def expire(self) -> None:
        """End the session at its maximum duration."""
        self._emit(self._session.expire())

    def report(self, report: Report) -> None:
        """Pass a report of an utterance, or of the output, to the session."""
        self._emit(self._session.report(report))
        self._changed.set()

    async def end(self) -> None:
        """Cancel all work that was started here, and wait until it has ended."""
        for input in self._inputs.values():
            input.drop()
        await self._tasks.end()
        for input in self._inputs.values():
            # A session's objects refer to each other: their audio would stay until the garbage collector runs.
            input.forget(input.seconds)

    async def _room(self) -> None:
        """Wait until the received audio is nearly processed: this slows down a client that sends too fast or does not read."""
        await asyncio.sleep(0)
        await self._outbox.calm()
        for input in self._inputs.values():
            await input.room()
        while len(self._finishing) >= MOST_FINISHING or self._session.pending >= MOST_CLAUSES:
            self._changed.clear()
            await self._changed.wait()

    def _emit(self, effects: Sequence[Effect]) -> None:
        """Perform effects that take no time: reports have no others."""
        for effect in effects:
            match effect:
                case Send() | Close():
                    self._outbox.put(effect)
                case Translate():
                    self._output.put(effect)
                case _:
                    raise AssertionError(effect)

    async def _perform(self, effects: Sequence[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, InputEffect):
                await self._perform_input(effect)
            else:
                self._emit([effect])

    async def _perform_input(self, effect: InputEffect) -> None:
        match effect:
            case AppendAudio(data):
                for part in steps(data, RATE, STEP_S, width=2):
                    await self._append_audio(part)
                    await self._room()
            case Begin():
                await self._begin(effect)
            case Finish(number, end_s):
                for channel in self._inputs:
                    self._finish(number, channel, end_s)
            case Drain():
                for input in self._inputs.values():
                    events = input.flush()
                    await self._perform(self._session.turn_events(events))
                await self._perform(self._session.drained())

    async def _append_audio(self, data: bytes) -> None:
        audio = from_pcm16(data, RATE)
        found = [(input, input.take(audio)) for input in self._inputs.values()]
        events = [event for _, events in found for event in events]
        await self._perform(self._session.turn_events(events))
        for number, channel in list(self._failed()):
            self._finish(number, channel, None)
        for input, _ in found:
            input.advance(events)

    async def _begin(self, effect: Begin) -> None:
        for channel, model in effect.models.items():
            options = TranscribeOptions(task="translate" if channel == "english" else "transcribe")
            try:
                recognizer = await self._recognizers[channel].recognizer(model, options)
            except SpeechError as error:
                self.report(Done(effect.number, channel, self.seconds, error))
                continue
            utterance = Utterance(recognizer, self._reporter(effect.number, channel))
            self._numbers[channel] = effect.number
            self._inputs[channel].begin(utterance, effect.start_s)

    def _finish(self, number: int, channel: Channel, end_s: float | None) -> None:
        if self._numbers.get(channel) != number or not self._inputs[channel].is_open:
            return  # its recognizer has failed
        del self._numbers[channel]
        finishing = self._tasks.begin(self._finish_utterance(number, channel, self._inputs[channel].end(end_s)))
        self._finishing.add(finishing)
        finishing.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._finishing.discard(task)
        self._changed.set()

    def _failed(self) -> Iterator[tuple[int, Channel]]:
        return ((number, channel) for channel, number in self._numbers.items() if self._inputs[channel].has_failed)

    def _reporter(self, number: int, channel: Channel) -> Callable[[str], None]:
        return lambda text: self.report(Delta(number, channel, text, self.seconds))

    async def _finish_utterance(self, number: int, channel: Channel, utterance: Utterance) -> None:
        error: SpeechError | None = None
        try:
            await utterance.finish()
        except asyncio.CancelledError:
            utterance.cancel()
            raise
        except SpeechError as problem:
            error = problem
        except Exception:  # noqa: BLE001 - the boundary of this connection: nothing but an event may reach the client
            log.exception("a translation session failed")
            error = BackendFailed("The speech could not be transcribed.")
        self.report(Done(number, channel, self.seconds, error))
