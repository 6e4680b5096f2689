"""One connection of a live transcription: performs the effects of the session, and reports the results to it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from functools import partial
from typing import Any

from starlette.websockets import WebSocket

from open_speech.api.live_transcription import messages
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
from open_speech.dispatch.pool import RunnerPool
from open_speech.errors import BackendFailed, SpeechError
from open_speech.http.inbox import Inbox
from open_speech.http.send_queue import SendQueue
from open_speech.http.websockets import received, until_one_ends
from open_speech.http.ws_messages import Close, Send
from open_speech.recognition.live.live_input import LiveInput, steps
from open_speech.recognition.live.recognizer import LiveRecognizer
from open_speech.recognition.live.utterance import Utterance
from open_speech.transcript import Transcript

log = logging.getLogger("open_speech.live_transcription")

STEP_S = 1.0
"""Seconds of audio that are processed at a time: 2 ms of work, then other tasks run."""
MOST_FINISHING = 4
"""Maximum utterances whose text is pending; no more is read from the client until one is done."""


class Connection:
    """A connection, from its first audio to its last message.

    The reader, the writer and the utterances are tasks of one event loop, so each of them may call the session.
    """

    def __init__(  # noqa: PLR0913 - the parts of one connection
        self,
        socket: WebSocket,
        pool: RunnerPool,
        session: Session,
        recognizer: LiveRecognizer,
        input: LiveInput,
        *,
        rate: int,
        idle_s: float,
    ) -> None:
        """Audio arrives at `rate` Hertz. The connection is closed after `idle_s` seconds without a message in either direction."""
        self._socket = socket
        self._pool = pool
        self._session = session
        self._recognizer = recognizer
        self._input = input
        self._rate = rate
        self._outbox = SendQueue()
        self._inbox = Inbox(socket)
        self._received = partial(received, self._inbox, self._outbox, idle_s, lambda: session.is_finishing, messages.MESSAGE_BYTES)
        self._finishing: set[asyncio.Task[None]] = set()
        self._tasks = Tasks()

    async def run(self, greeting: dict[str, Any]) -> None:
        """Serve until one side closes the connection; all tasks that were started here end with it."""
        self._outbox.put(Send(greeting))
        self._tasks.begin(self._load())
        try:
            await until_one_ends(*map(self._tasks.begin, (self._inbox.fill(), self._read(), self._outbox.write(self._socket))))
        finally:
            self._input.drop()
            await self._tasks.end()
            # A session's objects refer to each other: their audio would stay until the garbage collector runs.
            self._input.forget(self._input.seconds)

    async def _load(self) -> None:
        """Load the model before anyone speaks; a failure is reported with the first utterance."""
        try:
            await self._pool.load(self._recognizer.model)
        except SpeechError as error:
            log.warning("the model %s is not ready: %s", self._recognizer.model, error.message)

    async def _read(self) -> None:
        """Handle audio and messages until the client is idle for too long. The writer ends the session."""
        while (data := await self._received()) is not None:
            if isinstance(data, bytes):
                for part in steps(data, self._rate, STEP_S, width=2):
                    self._perform(self._session.append(part))
                    await self._wait_for_room()
                continue
            try:
                command = messages.parse(data)
            except SpeechError as error:
                self._perform(self._session.invalid_message(error))
            else:
                self._perform(self._session.receive(command))
            await self._wait_for_room()
        self._perform(self._session.idle())
        await asyncio.Event().wait()

    async def _wait_for_room(self) -> None:
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
        events = self._input.take(from_pcm16(data, self._rate))
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

        return Utterance(self._recognizer, on_draft=draft, on_window=partial(self._part, number))

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
