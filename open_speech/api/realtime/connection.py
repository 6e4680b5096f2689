"""One Realtime connection: performs the effects of the session, in order, and reports the results to it."""

from __future__ import annotations

import asyncio
import codecs
import logging
import time
from collections.abc import Coroutine, Mapping, Sequence
from contextlib import suppress
from typing import Any

from starlette.websockets import WebSocket, WebSocketDisconnect

from open_speech.api.realtime.effects import Effect, Report, Respond, Stop
from open_speech.api.realtime.events import Message, failure, parse_message
from open_speech.api.realtime.input_buffer import too_long
from open_speech.api.realtime.input_driver import InputDriver, InputEffect
from open_speech.api.realtime.opening import FRAME_BYTES, new_id
from open_speech.api.realtime.response_driver import ResponseDriver
from open_speech.api.realtime.session import Session
from open_speech.concurrency.blocking_iterators import in_turn
from open_speech.dialogue.llm import LanguageModel
from open_speech.engine import Engine
from open_speech.errors import SpeechError
from open_speech.http.inbox import Inbox
from open_speech.http.send_queue import SendQueue
from open_speech.http.ws_messages import Close, Send

log = logging.getLogger("open_speech.realtime")

FAILED = 1011
"""Close code after an internal error."""
INLINE_CHARS = 1 << 16
"""Messages with more characters are parsed off the event loop."""
AUDIO_EVENTS = ("response.output_audio.delta", "response.audio.delta")
"""Events that contain audio, in both versions of the protocol."""
SHORTEST_TICK_S = 0.02
"""Minimum seconds between two checks of the session's deadline."""


class Connection:
    """A connection, from its first event to its last.

    All tasks are of one event loop, so each of them may call the session. Of the effects that a call returns, messages and responses are
    performed before the next call. Those of the input take time: the input driver performs them in order, one after the other.
    """

    def __init__(self, socket: WebSocket, engine: Engine, session: Session, *, llm: LanguageModel | None) -> None:
        """The WebSocket is accepted already, and the session has not begun."""
        self._socket = socket
        self._session = session
        self._inbox = Inbox(socket)
        self._outbox = SendQueue(_response_of)
        self._input = InputDriver(engine.recognition, engine.registry.defaults.stt_model, self._report_input)
        self._responses = ResponseDriver(
            engine.synthesis, engine.registry.defaults.tts_model, llm, report=self._report_response, room=self._outbox.room
        )
        self._changed = asyncio.Event()
        """Set when the session's deadline may have changed."""

    async def run(self) -> None:
        """Serve until one side closes the connection; all tasks that were started here end with it."""
        self._perform(self._session.begin(time.time()))
        writing = asyncio.create_task(self._outbox.write(self._socket))
        others = {asyncio.create_task(work) for work in self._loops()}
        try:
            done, _ = await asyncio.wait({writing, *others}, return_when=asyncio.FIRST_COMPLETED)
            for failed in done:
                await self._end(failed.exception(), writing)
        finally:
            for task in (writing, *others):
                task.cancel()
            await asyncio.gather(writing, *others, return_exceptions=True)
            await self._responses.aclose()

    def _loops(self) -> Sequence[Coroutine[Any, Any, None]]:
        return self._inbox.fill(), self._read(), self._watch(), self._input.run()

    async def _end(self, failure_: BaseException | None, writing: asyncio.Task[None]) -> None:
        """Send the client the reason for an internal error, if it is still connected."""
        if failure_ is None or isinstance(failure_, (WebSocketDisconnect, TimeoutError)):
            return
        if not isinstance(failure_, SpeechError):
            log.error("a realtime session failed", exc_info=failure_)
            failure_ = SpeechError("The session failed.")
        self._outbox.put(Send({"event_id": new_id("event"), **failure(failure_, None)}))
        self._outbox.put(Close(FAILED, "internal server error"))
        with suppress(WebSocketDisconnect, TimeoutError):
            await writing

    async def _read(self) -> None:
        """Handle the client's events, no faster than they are processed."""
        while True:
            await self._outbox.calm()
            await self._input.settled()
            self._perform(self._session.receive(await self._message(), time.time()))

    async def _message(self) -> str | Message:
        """Receive a message; a long one is parsed off the event loop."""
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        texts: list[str] = []
        size = 0
        while True:
            part = await self._inbox.part()
            text = part.data if isinstance(part.data, str) else decoder.decode(part.data, part.is_last)
            size += len(text)
            if size <= FRAME_BYTES:
                texts.append(text)
            else:
                texts.clear()
            if part.is_last:
                break
        if size > FRAME_BYTES:
            return Message({}, too_long(FRAME_BYTES))
        return await in_turn(parse_message, *texts) if size > INLINE_CHARS else "".join(texts)

    async def _watch(self) -> None:
        """Call the session at its deadlines."""
        while True:
            self._changed.clear()
            deadline = self._session.deadline()
            wait_s = None if deadline is None else max(SHORTEST_TICK_S, deadline - time.time())
            with suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._changed.wait()
                    continue
            await self._input.settled()
            self._perform(self._session.tick(time.time()))

    def _report_response(self, report: Report) -> None:
        self._perform(self._session.report(report, time.time()))

    def _report_input(self, report: Report) -> list[InputEffect]:
        """Pass a report of the input driver to the session; return the effects that the driver must perform because of it."""
        return self._dispatch(self._session.report(report, time.time()))

    def _perform(self, effects: Sequence[Effect]) -> None:
        self._input.put(*self._dispatch(effects))

    def _dispatch(self, effects: Sequence[Effect]) -> list[InputEffect]:
        """Perform messages and responses in order; return the effects for the input driver, which are not performed yet."""
        input_effects: list[InputEffect] = []
        for effect in effects:
            match effect:
                case Send() | Close():
                    self._outbox.put(effect)
                case Respond():
                    self._responses.respond(effect)
                case Stop(response_id):
                    self._responses.stop(response_id)
                    self._outbox.drop_sound(response_id)
                case _:
                    input_effects.append(effect)
        self._changed.set()
        return input_effects


def _response_of(event: Mapping[str, Any]) -> str | None:
    return str(event["response_id"]) if event["type"] in AUDIO_EVENTS else None
