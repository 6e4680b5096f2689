"""One Realtime connection: performs the effects of the session, in order, and reports the results to it.

It does not know whether its client is connected by a WebSocket or over WebRTC. Over WebRTC the audio is not in events, but in `media`.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from typing import Any

from starlette.websockets import WebSocketDisconnect

from open_speech.api.realtime.effects import Effect, PauseOutput, Release, Report, Respond, ResponseAudio, ResumeOutput, Stop
from open_speech.api.realtime.event_link import INLINE_CHARS, EventLink
from open_speech.api.realtime.events import failure
from open_speech.api.realtime.input_driver import InputDriver, InputEffect
from open_speech.api.realtime.media import EventMedia, InputTrack, Media
from open_speech.api.realtime.opening import new_id
from open_speech.api.realtime.response_driver import ResponseDriver
from open_speech.api.realtime.session import Session
from open_speech.concurrency.task_group import Tasks
from open_speech.dialogue.model import LanguageModel
from open_speech.engine import Engine
from open_speech.errors import SpeechError
from open_speech.http.message_socket import MessageSocket
from open_speech.http.websockets import until_one_ends
from open_speech.http.ws_messages import NORMAL, TRY_LATER, Close, Send

__all__ = ["INLINE_CHARS", "Connection"]

log = logging.getLogger("open_speech.realtime")

FAILED = 1011
"""Close code after an internal error."""
CALL_AHEAD_BYTES = 1 << 20
"""Bytes of events that are received ahead of their processing over WebRTC, where they contain no audio."""
SHORTEST_TICK_S = 0.02
"""Minimum seconds between two checks of the session's deadline."""


class Connection:
    """A connection, from its first event to its last.

    All tasks are of one event loop, so each of them may call the session. Of the effects that a call returns, messages and responses are
    performed before the next call. Those of the input take time: the input driver performs them in order, one after the other.
    """

    def __init__(  # noqa: PLR0913 - the parts of one connection
        self,
        socket: MessageSocket,
        engine: Engine,
        session: Session,
        *,
        llm: LanguageModel | None,
        media: Media | None = None,
        track: InputTrack | None = None,
    ) -> None:
        """The connection is open already, or opens before `run`; the session has not begun.

        Without `media`, audio for the client is in events. Without `track`, that of the client is.
        """
        self._session = session
        self._main = EventLink(socket) if track is None else EventLink(socket, ahead_bytes=CALL_AHEAD_BYTES)
        self._track = track
        self._attached: set[EventLink] = set()
        """Further connections that receive the events of the session, without audio, and may send events."""
        self._media: Media = media or EventMedia()
        self._media.on_event = self._send_own
        self._input = InputDriver(engine.recognition, engine.registry.defaults.stt_model, self._report_input)
        self._responses = ResponseDriver(
            engine.synthesis, engine.registry.defaults.tts_model, llm, report=self._report_response, room=self._room, meter=engine.meter
        )
        self._changed = asyncio.Event()
        """Set when the session's deadline may have changed."""
        self._begun = asyncio.Event()

    async def run(self) -> None:
        """Serve until one side closes the connection; all tasks that were started here end with it."""
        self._begun.set()
        self._perform(self._session.begin(time.time()))
        writing = asyncio.create_task(self._main.outbox.write(self._main.socket))
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
            self.release()

    async def attach(self, socket: MessageSocket) -> None:
        """Serve a further connection to the session until it, or the session, ends. It must be open already."""
        link = EventLink(socket)
        if self._begun.is_set():
            link.outbox.put(self._own({"type": "session.created", "session": self._session.body()}))
        self._attached.add(link)
        tasks = Tasks()
        try:
            await until_one_ends(*(tasks.begin(work) for work in (link.inbox.fill(), self._read(link), link.outbox.write(socket))))
        finally:
            self._attached.discard(link)
            await tasks.end()

    def release(self) -> None:
        """Close the attached connections, because the session has ended or will not begin."""
        for link in self._attached:
            link.outbox.put(Close(NORMAL, "the session has ended"))

    def _loops(self) -> Sequence[Coroutine[Any, Any, None]]:
        listening = [] if self._track is None else [self._listen(self._track)]
        return self._main.inbox.fill(), self._read(self._main), self._watch(), self._input.run(), *listening

    async def _end(self, failure_: BaseException | None, writing: asyncio.Task[None]) -> None:
        """Send the client the reason for an internal error, if it is still connected."""
        if failure_ is None or isinstance(failure_, (WebSocketDisconnect, TimeoutError)):
            return
        if not isinstance(failure_, SpeechError):
            log.error("a realtime session failed", exc_info=failure_)
            failure_ = SpeechError("The session failed.")
        self._main.outbox.put(Send({"event_id": new_id("event"), **failure(failure_, None)}))
        self._main.outbox.put(Close(FAILED, "internal server error"))
        with suppress(WebSocketDisconnect, TimeoutError):
            await writing

    async def _read(self, link: EventLink) -> None:
        """Handle the client's events, no faster than they are processed."""
        await self._begun.wait()
        while True:
            await link.outbox.calm()
            await self._input.settled()
            message = self._media.checked(await link.message())
            self._report_played()
            self._perform(self._session.receive(message, time.time()))

    async def _listen(self, track: InputTrack) -> None:
        """Append the audio of a call to the input buffer, as it arrives."""
        was_refused = False
        while True:
            await self._input.settled()
            effects = self._session.receive(await track.next(), time.time())
            is_refused = any(isinstance(effect, Send) and effect.message["type"] == "error" for effect in effects)
            if not (is_refused and was_refused):  # a full buffer is reported once, and not with every frame
                self._perform(effects)
            was_refused = is_refused

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
            self._report_played()
            self._perform(self._session.tick(time.time()))

    async def _room(self) -> None:
        """Wait until the client has received, or heard, enough of the audio that is queued."""
        await self._main.outbox.room()
        await self._media.room()

    def _report_response(self, report: Report) -> None:
        self._perform(self._session.report(report, time.time()))
        if isinstance(report, ResponseAudio):
            self._report_played()  # from its first audio on, the session knows that this side plays it

    def _report_input(self, report: Report) -> list[InputEffect]:
        """Pass a report of the input driver to the session; return the effects that the driver must perform because of it."""
        self._report_played()
        return self._dispatch(self._session.report(report, time.time()))

    def _perform(self, effects: Sequence[Effect]) -> None:
        self._input.put(*self._dispatch(effects))

    def _dispatch(self, effects: Sequence[Effect]) -> list[InputEffect]:
        """Perform messages and responses in order; return the effects for the input driver, which are not performed yet."""
        input_effects: list[InputEffect] = []
        for effect in effects:
            match effect:
                case Send():
                    self._send(effect)
                case Close():
                    self._main.outbox.put(effect)
                case Respond():
                    self._media.respond(effect)
                    self._responses.respond(effect)
                case Release(response_id):
                    self._responses.release(response_id)
                case PauseOutput() | ResumeOutput():
                    self._media.hold(effect)
                case Stop(response_id):
                    self._responses.stop(response_id)
                    self._main.outbox.drop_sound(response_id)
                    self._media.clear(response_id)
                case _:
                    input_effects.append(effect)
        self._media.report_cleared()
        self._changed.set()
        return input_effects

    def _report_played(self) -> None:
        """Report how much of the responses was played; the session decides by it what the user has heard."""
        for report in self._media.played():
            self._dispatch(self._session.report(report, time.time()))

    def _send(self, effect: Send) -> None:
        """Send an event to the client and to all attached connections."""
        if self._media.passes(effect.message):
            self._broadcast(effect)

    def _send_own(self, event: dict[str, Any]) -> None:
        """Send an event that is not of the session, but about its audio."""
        self._broadcast(self._own(event))

    def _broadcast(self, effect: Send) -> None:
        self._main.outbox.put(effect)
        for link in [*self._attached]:
            if link.outbox.is_calm:
                link.outbox.put(effect)
            else:  # it does not read: the call must not wait for it
                link.outbox.put(Close(TRY_LATER, "events are not read"))

    @staticmethod
    def _own(event: dict[str, Any]) -> Send:
        return Send({"event_id": new_id("event"), **event})
