"""Live sessions over WebRTC: POST /v1/live/sessions answers an offer, and the session runs until one side ends the call."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Request
from pydantic import BaseModel
from starlette.responses import Response

from open_speech.api.live.call_media import CallInput, CallOutput
from open_speech.api.live.connection import Connection
from open_speech.api.live.errors import UnknownSession
from open_speech.api.live.open_sessions import STOP_S, LiveSessions
from open_speech.api.live.opening import Opened, open_session
from open_speech.api.openai.schemas import ERRORS
from open_speech.api.realtime.checking import StrictValue, checked
from open_speech.api.realtime.connection import CALL_AHEAD_BYTES
from open_speech.config import Settings
from open_speech.dialogue.language_models import LanguageModels, language_models
from open_speech.engine import Engine
from open_speech.errors import InvalidRequest, UnknownItem, UnknownPath
from open_speech.http.caller import holder_of
from open_speech.http.dependencies import EngineDep, SettingsDep
from open_speech.http.inbox import Inbox
from open_speech.http.json_bodies import json_body
from open_speech.security import egress
from open_speech.webrtc.calls import Call, Calls, Owner

router = APIRouter(prefix="/v1/live/sessions", tags=["live"], responses=ERRORS)

SessionId = Annotated[str, Path(description="Id of the session.", max_length=128)]


class Transport(StrictValue):
    """The transport, with the offer."""

    type: Literal["webrtc"]
    sdp: str


class Create(StrictValue):
    """The body of a request for a session."""

    session: dict[str, Any]
    transport: Transport


class SessionBody(BaseModel):
    """The created session."""

    id: str


class TransportBody(BaseModel):
    """The transport, with the answer."""

    type: Literal["webrtc"] = "webrtc"
    sdp: str


class CreatedBody(BaseModel):
    """A session that begins when its client is connected."""

    session: SessionBody
    transport: TransportBody


_TRANSPORT = {
    "type": "object",
    "required": ["type", "sdp"],
    "properties": {"type": {"const": "webrtc", "type": "string"}, "sdp": {"type": "string", "description": "The SDP offer."}},
}
_SESSION = {"type": "object", "description": "The session, as in `session.start`, without `audio.format`."}
_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "required": ["session", "transport"],
                    "properties": {"session": _SESSION, "transport": _TRANSPORT},
                }
            }
        },
    }
}


@router.post("", status_code=201, openapi_extra=_BODY)
async def create(request: Request, engine: EngineDep, settings: SettingsDep) -> CreatedBody:
    """Create a Live session over WebRTC: the SDP answer to an offer.

    Audio is on the tracks. Events are JSON messages on the data channel `oai-events`, which the client creates; `session.started` is the
    first.
    """
    if not settings.os_live_enabled:
        raise UnknownPath("This server does not serve the Live API: OS_LIVE_ENABLED is off.")
    calls: Calls = request.app.state.calls
    holder = holder_of(request.scope)
    with ExitStack() as held:
        # Before anything is parsed: an offer too many costs nothing.
        held.enter_context(calls.slot(Owner(holder)))
        held.enter_context(request.app.state.realtime_slots.taken(holder))
        async with json_body(request) as (raw, _):
            body = checked(Create, raw)
        with egress.keeping(local_only=settings.is_local_only(holder)):
            models = language_models(request.app)
            opened = await open_session(body.session, settings, engine, models, is_call=True)
            call = await _begin(request, engine, opened, body.transport.sdp, models, held)
    return CreatedBody(session=SessionBody(id=call.id), transport=TransportBody(sdp=call.answer))


@router.post("/{session_id}/hangup", response_class=Response)
async def hang_up(session_id: SessionId, request: Request) -> Response:
    """End a session over WebRTC. Only the API key that created it may do so."""
    sessions: LiveSessions = request.app.state.live_sessions
    calls: Calls = request.app.state.calls
    holder = holder_of(request.scope)
    connection = sessions.find(session_id, holder)
    try:
        call = calls.find(session_id, Owner(holder))
    except UnknownItem:
        raise UnknownSession("This session is not over WebRTC: close its WebSocket.") from None
    connection.end("close_requested")
    if call.work is not None:
        await asyncio.wait([call.work], timeout=STOP_S)
    await calls.hang_up(call)
    return Response()


async def _begin(request: Request, engine: Engine, opened: Opened, sdp: str, models: LanguageModels, held: ExitStack) -> Call:
    """Answer the offer and begin the call, which takes over what is held. Raises SpeechError's children."""
    settings: Settings = request.app.state.settings
    calls: Calls = request.app.state.calls
    holder = holder_of(request.scope)
    call = await _answered(calls, sdp, Owner(holder), opened.session.id)
    llm = None
    try:
        llm = await models.open(opened.llm) if opened.llm else None
    except BaseException:
        await call.peer.aclose()
        raise
    inbox = Inbox(call.peer, ahead_bytes=CALL_AHEAD_BYTES)
    media, track = CallOutput(call.peer.playback), CallInput(call.peer)
    connection = Connection(call.peer, inbox, opened.session, holder=holder, media=media, track=track)
    # A server of the application may attach as soon as it has the answer.
    held.enter_context(request.app.state.live_sessions.listed(connection))
    call.session = connection

    async def work(call: Call) -> None:
        try:
            await call.peer.connected(settings.os_webrtc_connect_timeout_s)
            await connection.run(engine, opened.speech, llm, None)
        finally:
            connection.end("connection_lost")  # if it has not begun: attached connections are closed
            if llm is not None:
                await llm.aclose()

    calls.begin(call, work, held.pop_all())
    return call


async def _answered(calls: Calls, sdp: str, owner: Owner, session_id: str) -> Call:
    try:
        return await calls.answer(sdp, owner, id=session_id)
    except InvalidRequest as error:
        error.param = "transport.sdp"
        raise
