"""One connection of a live transcription: its messages in both directions. The driver transcribes its audio."""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from typing import Any

from starlette.websockets import WebSocket

from open_speech.api.live_transcription import known_speakers, messages
from open_speech.api.live_transcription.driver import Driver
from open_speech.api.live_transcription.session import Session
from open_speech.concurrency.task_group import Tasks
from open_speech.dispatch.pool import RunnerPool
from open_speech.errors import SpeechError
from open_speech.http.inbox import Inbox
from open_speech.http.send_queue import SendQueue
from open_speech.http.websockets import received, until_one_ends
from open_speech.http.ws_messages import Send
from open_speech.recognition.live.live_input import LiveInput
from open_speech.recognition.live.recognizer import LiveRecognizer
from open_speech.recognition.live.speaker_tracker import SpeakerTracker

log = logging.getLogger("open_speech.live_transcription")


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
        tracker: SpeakerTracker | None = None,
    ) -> None:
        """Audio arrives at `rate` Hertz. The connection is closed after `idle_s` seconds without a message in either direction.

        `tracker` labels the speakers.
        """
        self._socket = socket
        self._pool = pool
        self._model = recognizer.model
        self._outbox = SendQueue()
        self._inbox = Inbox(socket)
        self._tracker = tracker
        self._driver = Driver(session, recognizer, input, self._outbox, rate=rate, tracker=tracker)
        self._received = partial(received, self._inbox, self._outbox, idle_s, lambda: session.is_finishing, known_speakers.MESSAGE_BYTES)
        self._tasks = Tasks()

    async def run(self, greeting: dict[str, Any]) -> None:
        """Serve until one side closes the connection; all tasks that were started here end with it."""
        self._outbox.put(Send(greeting))
        self._tasks.begin(load(self._pool, self._model))
        try:
            await until_one_ends(*map(self._tasks.begin, (self._inbox.fill(), self._read(), self._outbox.write(self._socket))))
        finally:
            await self._tasks.end()
            await self._driver.end()

    async def _read(self) -> None:
        """Handle audio and messages until the client is idle for too long. The writer ends the session."""
        while (data := await self._received()) is not None:
            if isinstance(data, bytes):
                await self._driver.feed(data)
                continue
            try:
                if (known := known_speakers.parse(data)) is not None:
                    self._outbox.put(Send(await known_speakers.enroll(known, self._tracker)))
                    continue
                command = messages.parse(data)
            except SpeechError as error:
                await self._driver.invalid_message(error)
            else:
                await self._driver.receive(command)
        self._driver.idle()
        await asyncio.Event().wait()


async def load(pool: RunnerPool, model: str) -> None:
    """Load the model of a session before its first audio; a failure is reported with the first utterance."""
    try:
        await pool.load(model)
    except SpeechError as error:
        log.warning("the model %s is not ready: %s", model, error.message)
