"""One connection of a translation session: its messages in both directions. The driver processes its audio."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from functools import partial
from typing import Any

from starlette.websockets import WebSocket

from open_speech.api.realtime.client_messages import LONG_MESSAGE, Message, parse_message
from open_speech.api.realtime.input_buffer import too_long
from open_speech.api.realtime.opening import FRAME_BYTES, SESSION_S
from open_speech.api.translations.driver import Driver
from open_speech.api.translations.output import Output
from open_speech.api.translations.session import Channel, Report, Session
from open_speech.concurrency.blocking_iterators import in_turn
from open_speech.concurrency.task_group import Tasks
from open_speech.dialogue.model import LanguageModel
from open_speech.http.inbox import Inbox
from open_speech.http.send_queue import SendQueue
from open_speech.http.websockets import received, until_one_ends
from open_speech.recognition.live.live_input import LiveInput
from open_speech.recognition.live.recognizer import SessionRecognizer
from open_speech.synthesis.language_voices import LanguageVoice
from open_speech.synthesis.service import Synthesis


class Connection:
    """A connection, from its first event to its last. All tasks are of one event loop, so each of them may call the session."""

    def __init__(  # noqa: PLR0913 - the parts of one connection
        self,
        socket: WebSocket,
        session: Session,
        synthesis: Synthesis,
        *,
        inputs: Mapping[Channel, LiveInput],
        recognizers: Mapping[Channel, SessionRecognizer],
        voices: Mapping[str, LanguageVoice],
        llm: LanguageModel | None,
        idle_s: float,
    ) -> None:
        """The WebSocket is accepted already. It is closed after `idle_s` seconds without a message in either direction."""
        self._socket = socket
        self._inbox = Inbox(socket)
        self._outbox = SendQueue(_is_audio)
        self._output = Output(synthesis, voices, llm, report=self._report, room=self._outbox.room)
        self._driver = Driver(session, inputs, recognizers, self._output, self._outbox)
        self._received = partial(received, self._inbox, self._outbox, idle_s, lambda: session.is_busy, FRAME_BYTES)
        self._tasks = Tasks()

    async def run(self) -> None:
        """Serve until one side closes the connection; all tasks that were started here end with it."""
        await self._driver.begin()
        loops = (self._inbox.fill(), self._read(), self._outbox.write(self._socket), self._output.run(), self._expire())
        try:
            await until_one_ends(*map(self._tasks.begin, loops))
        finally:
            await self._tasks.end()
            await self._driver.end()

    async def _read(self) -> None:
        """Handle the client's events until the client is idle for too long. The writer ends the session."""
        while (data := await self._received()) is not None:
            await self._driver.receive(await _parsed(data))
        self._driver.idle()
        await asyncio.Event().wait()

    async def _expire(self) -> None:
        await asyncio.sleep(SESSION_S)
        self._driver.expire()
        await asyncio.Event().wait()

    def _report(self, report: Report) -> None:
        self._driver.report(report)


async def _parsed(data: str | bytes) -> str | Message:
    """Parse a long message off the event loop."""
    text = data if isinstance(data, str) else data.decode(errors="replace")
    if len(text) > FRAME_BYTES:
        return Message({}, too_long(FRAME_BYTES))
    return await in_turn(parse_message, text) if len(text) > LONG_MESSAGE else text


def _is_audio(event: Mapping[str, Any]) -> str | None:
    return "" if event["type"] == "session.output_audio.delta" else None
