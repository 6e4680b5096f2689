"""One Live connection: performs the effects of the session, in order, and reports the results to it.

It does not know whether its client is connected by a WebSocket or over WebRTC. Over WebRTC the audio is not in events, but on tracks.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from starlette.websockets import WebSocketDisconnect

from open_speech.api.live.answer_driver import AnswerDriver
from open_speech.api.live.effects import (
    PRIMARY,
    ClearOutput,
    Effect,
    Generate,
    Play,
    Reflect,
    Release,
    Report,
    SendTo,
    Speak,
    StopAnswer,
)
from open_speech.api.live.errors import pipeline_failure
from open_speech.api.live.events import FRAME_BYTES
from open_speech.api.live.input_driver import InputDriver
from open_speech.api.live.media import EventMedia, InputTrack, OutputMedia
from open_speech.api.live.messages import next_message, with_id
from open_speech.api.live.session import Session
from open_speech.api.live.sideband import Sideband, Sidebands
from open_speech.api.realtime.client_messages import Message
from open_speech.dialogue.model import LanguageModel
from open_speech.engine import Engine
from open_speech.errors import SpeechError
from open_speech.http.inbox import Inbox
from open_speech.http.message_socket import MessageSocket
from open_speech.http.send_queue import SendQueue
from open_speech.http.ws_messages import NORMAL, Close, Send
from open_speech.synthesis.plan import SynthesisRequest

log = logging.getLogger("open_speech.live")

FAILED = 1011
"""Close code after an internal error."""
AHEAD_S = 15.0
"""Seconds of speech that are synthesized before they are played."""
BACKLOG_S = 30.0
"""Seconds of input audio that may wait because they arrived faster than real time; above it, no more is read."""


class Connection:
    """The connection that started a session, and those attached to it, until the session ends.

    All tasks are of one event loop, so each of them may call the session. The effects that a call returns are performed before the next
    call.
    """

    def __init__(
        self,
        socket: MessageSocket,
        inbox: Inbox,
        session: Session,
        *,
        holder: str,
        media: OutputMedia | None = None,
        track: InputTrack | None = None,
    ) -> None:
        """The connection is open already, or opens before `run`; the session has not begun. `holder` is the name of the API key.

        Without `media` and `track`, audio is in events.
        """
        self.holder = holder
        self.session = session
        self._socket = socket
        self._inbox = inbox
        self._outbox = SendQueue()
        self._media: OutputMedia = media or EventMedia(session.config.format, lambda event: self._outbox.put(Send(event)))
        self._track = track
        self._begun = asyncio.Event()
        self._sidebands = Sidebands(session.config.format, self._begun)
        self._changed = asyncio.Event()
        """Set when the session's deadline may have changed."""
        self._moved = asyncio.Event()
        """Set when audio was processed, and speech was played."""
        self._input: InputDriver | None = None
        self._answers: AnswerDriver | None = None

    async def run(self, engine: Engine, speech: SynthesisRequest, llm: LanguageModel | None, event_id: str | None) -> None:
        """Serve until one side ends the session; all tasks that were started here end with it. Raises SpeechError before it starts."""
        session = self.session
        if session.is_closed:
            return
        self._input = await InputDriver.open(engine.recognition, engine.registry.defaults.stt_model, session.config.format, self._report)
        self._answers = AnswerDriver(engine.synthesis, speech, llm, report=self._report, room=self._output_room, meter=engine.meter)
        self._perform(session.begin(event_id, time.time()))
        self._begun.set()
        writing = asyncio.create_task(self._outbox.write(self._socket))
        loops = [self._inbox.fill(), self._read(), self._watch(), *([] if self._track is None else [self._listen(self._track)])]
        others = {asyncio.create_task(work) for work in loops}
        reason = "connection_lost"
        try:
            done, _ = await asyncio.wait({writing, *others}, return_when=asyncio.FIRST_COMPLETED)
            for ended in done:
                failure = ended.exception()
                if self._track is not None and isinstance(failure, WebSocketDisconnect) and failure.code == NORMAL:
                    reason = "remote_hangup"
                await self._fail(failure, writing)
        finally:
            for task in (writing, *others):
                task.cancel()
            await asyncio.gather(writing, *others, return_exceptions=True)
            self.end(reason)
            await self._answers.aclose()
            await self._input.aclose()

    async def attach(self, socket: MessageSocket) -> None:
        """Serve a connection that is attached to the session, until it or the session ends. Raises Overloaded."""
        sideband: Sideband = self._sidebands.attach(socket)
        try:
            if self._begun.is_set():
                self._perform(self.session.attached(sideband.number))
            await sideband.run(self._receive)
        finally:
            self._sidebands.remove(sideband)

    def end(self, reason: str) -> None:
        """End the session, if it has not ended already."""
        self._perform(self.session.close(reason))

    async def _fail(self, failure: BaseException | None, writing: asyncio.Task[None]) -> None:
        """Send the client the reason for an internal error, if it is still connected."""
        if failure is None or isinstance(failure, (WebSocketDisconnect, TimeoutError)):
            return
        if not isinstance(failure, SpeechError):
            log.error("a live session failed", exc_info=failure)
            failure = SpeechError("The session failed.")
        self._put(pipeline_failure(failure))
        self._outbox.put(Close(FAILED, "internal server error"))
        with suppress(WebSocketDisconnect, TimeoutError):
            await writing

    async def _read(self) -> None:
        """Handle the client's events, no faster than they are processed."""
        while True:
            await self._outbox.calm()
            if self._track is None:
                await self._input_room()
            self._receive(await next_message(self._inbox, FRAME_BYTES), PRIMARY)

    async def _listen(self, track: InputTrack) -> None:
        """Add the audio of a call, as it arrives."""
        while True:
            await self._input_room()
            self.session.add_audio(await track.next(), time.time())
            self._changed.set()
            self._advance()

    async def _input_room(self) -> None:
        """Wait until more input audio can be taken."""
        assert self._input is not None
        await self._input.room()
        while self.session.waiting_input_s > BACKLOG_S:
            self._moved.clear()
            await self._moved.wait()

    def _receive(self, message: Message, connection: int) -> None:
        self._perform(self.session.receive(message, time.time(), connection))
        self._advance()

    async def _watch(self) -> None:
        """Call the session at its deadlines."""
        while True:
            self._changed.clear()
            deadline = self.session.deadline()
            wait_s = None if deadline is None else max(0.0, deadline - time.time())
            with suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._changed.wait()
                    continue
            self._advance()
            self._perform(self.session.expire(time.time()))
            await asyncio.sleep(0)

    def _advance(self) -> None:
        """Process the input audio whose time has come."""
        while effects := self.session.advance(time.time()):
            self._perform(effects)
        self._moved.set()

    async def _output_room(self) -> None:
        """Wait until most of the speech that was synthesized is played."""
        while self.session.waiting_output_s > AHEAD_S:
            self._moved.clear()
            await self._moved.wait()

    def _report(self, report: Report) -> None:
        self._perform(self.session.report(report))

    def _perform(self, effects: Sequence[Effect]) -> None:
        for effect in effects:
            match effect:
                case Send(message):
                    self._put(message)
                case SendTo(connection, message):
                    self._put_to(connection, message)
                case Play(samples, start_ms, end_ms):
                    self._media.play(samples)
                    self._sidebands.reflect_output(samples, start_ms, end_ms)
                case ClearOutput():
                    self._media.clear()
                case Reflect(data):
                    self._sidebands.reflect_input(data)
                case Close():
                    self._outbox.put(effect)
                    self._sidebands.close(effect)
                case Generate() | Speak() | Release() | StopAnswer():
                    assert self._answers is not None
                    self._answers.perform(effect)
                case _:
                    assert self._input is not None
                    self._input.perform(effect)
        self._media.hold(self.session.is_output_held)
        self._changed.set()

    def _put(self, message: dict[str, Any]) -> None:
        event = with_id(message)
        self._put_primary(event)
        self._sidebands.put(event)

    def _put_to(self, connection: int, message: dict[str, Any]) -> None:
        event = with_id(message)
        if connection == PRIMARY:
            self._put_primary(event)
        else:
            self._sidebands.put_to(connection, event)

    def _put_primary(self, event: dict[str, Any]) -> None:
        if self.session.config.channel.shows(event):
            self._outbox.put(Send(event))
