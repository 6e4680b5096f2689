"""Performs the effects of a live transcription on the audio of one stream, and reports the results to its session."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from functools import partial
from typing import Protocol

from open_speech.api.live_transcription.messages import Command
from open_speech.api.live_transcription.session import (
    AppendAudio,
    Begin,
    Draft,
    Drain,
    Effect,
    Failed,
    Finish,
    Finished,
    Part,
    Report,
    Session,
)
from open_speech.audio import from_pcm16
from open_speech.concurrency.task_group import Tasks
from open_speech.errors import BackendFailed, SpeechError
from open_speech.http.ws_messages import Close, Send
from open_speech.recognition.live.live_input import LiveInput, steps
from open_speech.recognition.live.recognizer import LiveRecognizer
from open_speech.recognition.live.speaker_tracker import SpeakerTracker
from open_speech.recognition.live.turn_detection import TurnEvent
from open_speech.recognition.live.utterance import Utterance
from open_speech.transcript import Transcript

log = logging.getLogger("open_speech.live_transcription")

STEP_S = 1.0
"""Seconds of audio that are processed at a time: 2 ms of work, then other tasks run."""
MOST_FINISHING = 4
"""Maximum utterances whose text is pending; no more is read from the client until one is done."""


class Outbox(Protocol):
    """The messages of one stream that wait to be sent."""

    def put(self, effect: Send | Close, /) -> None:
        """Append a message, or the end of the connection."""
        ...

    async def calm(self) -> None:
        """Wait until more may be produced."""
        ...


class Driver:
    """One stream of audio, from its first sample to its last text. The utterances are tasks of the running event loop."""

    def __init__(  # noqa: PLR0913 - the parts of one stream
        self,
        session: Session,
        recognizer: LiveRecognizer,
        input: LiveInput,
        outbox: Outbox,
        *,
        rate: int,
        tracker: SpeakerTracker | None = None,
    ) -> None:
        """Audio arrives at `rate` Hertz. `outbox` receives the messages for the client. `tracker` labels the speakers."""
        self._tracker = tracker
        self._session = session
        self._recognizer = recognizer
        self._input = input
        self._rate = rate
        self._outbox = outbox
        self._finishing: set[asyncio.Task[None]] = set()
        self._tasks = Tasks()

    async def feed(self, data: bytes) -> None:
        """Process audio of any length, no faster than it can be transcribed."""
        for part in steps(data, self._rate, STEP_S, width=2):
            self._perform(self._session.append(part))
            while self._input.is_asking:
                self._handle_turns(await self._input.decide())
            await self._room()

    async def receive(self, command: Command) -> None:
        """Handle a message of the client."""
        self._perform(self._session.receive(command))
        await self._room()

    async def invalid_message(self, error: SpeechError) -> None:
        """Handle a message that could not be parsed."""
        self._perform(self._session.invalid_message(error))
        await self._room()

    def idle(self) -> None:
        """End the session because it was idle for too long."""
        self._perform(self._session.idle())

    async def end(self) -> None:
        """Cancel all work that was started here, and wait until it has ended."""
        self._input.drop()
        await self._tasks.end()
        # A session's objects refer to each other: their audio would stay until the garbage collector runs.
        self._input.forget(self._input.seconds)

    async def _room(self) -> None:
        """Wait until the received audio is nearly processed: this slows down a client that sends too fast or does not read."""
        await asyncio.sleep(0)
        await self._outbox.calm()
        await self._input.room()
        while len(self._finishing) >= MOST_FINISHING:
            await asyncio.wait(self._finishing, return_when=asyncio.FIRST_COMPLETED)

    def _perform(self, effects: Sequence[Effect]) -> None:
        for effect in effects:
            match effect:
                case Send() | Close():
                    self._outbox.put(effect)
                case AppendAudio(data):
                    self._append_audio(data)
                case Begin(number, start_s):
                    self._input.begin(self._utterance(number), start_s)
                case Finish(number, end_s):
                    self._finish(number, end_s)
                case Drain():
                    self._perform(self._session.turn_events(self._input.flush(), self._input.seconds))
                    self._perform(self._session.drained())

    def _append_audio(self, data: bytes) -> None:
        self._handle_turns(self._input.take(from_pcm16(data, self._rate)))

    def _handle_turns(self, events: Sequence[TurnEvent]) -> None:
        self._perform(self._session.turn_events(events, self._input.seconds))
        self._input.advance(events)
        self._perform(self._session.settled(self._input.settled_s))
        if self._input.has_failed:
            self._perform(self._session.utterance_failed())

    def _finish(self, number: int, end_s: float | None) -> None:
        finishing = self._tasks.begin(self._finish_utterance(number, self._input.end(end_s)))
        self._finishing.add(finishing)
        finishing.add_done_callback(self._finishing.discard)

    def _utterance(self, number: int) -> Utterance:
        def draft(text: str) -> None:
            self._report(Draft(number, text, self._input.seconds))

        return Utterance(self._recognizer, on_draft=draft, on_window=partial(self._part, number), tracker=self._tracker)

    def _part(self, number: int, part: Transcript, is_last: bool, until_s: float) -> None:  # noqa: FBT001 - called by the utterance
        self._report(Part(number, part, is_last, until_s))

    async def _finish_utterance(self, number: int, utterance: Utterance) -> None:
        try:
            await utterance.finish()
        except asyncio.CancelledError:
            utterance.cancel()
            raise
        except SpeechError as error:
            self._report(Failed(number, error))
        except Exception:  # noqa: BLE001 - the boundary of this connection: nothing but an envelope may reach the client
            log.exception("a live transcription session failed")
            self._report(Failed(number, BackendFailed("The speech could not be transcribed.")))
        else:
            self._report(Finished(number))

    def _report(self, report: Report) -> None:
        self._perform(self._session.report(report))
