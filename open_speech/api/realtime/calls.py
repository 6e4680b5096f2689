"""Realtime over WebRTC: POST /v1/realtime/calls answers an offer, and the session runs until one side ends the call."""

from __future__ import annotations

import json
from contextlib import ExitStack
from typing import Annotated, Any
from uuid import uuid4

from fastapi import APIRouter, Path, Request
from pydantic import BaseModel
from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException
from starlette.responses import Response
from starlette.websockets import WebSocket

from open_speech.api.openai.schemas import ERRORS
from open_speech.api.realtime.call_media import CallInput, CallMedia
from open_speech.api.realtime.connection import Connection
from open_speech.api.realtime.grants import grant_of, is_local_only, owner_of
from open_speech.api.realtime.opening import SessionRequest, language_model, session_of, session_request, task_of
from open_speech.api.realtime.secrets import Grant
from open_speech.config import Settings
from open_speech.dialogue.language_models import language_models
from open_speech.engine import Engine
from open_speech.errors import InvalidRequest, InvalidValue, MissingField, SpeechError, UnknownPath, UnsupportedValue
from open_speech.http.dependencies import EngineDep, SettingsDep
from open_speech.security import egress
from open_speech.webrtc.calls import Call, Calls, Owner
from open_speech.webrtc.offers import MAX_CHARS

router = APIRouter(prefix="/v1/realtime/calls", tags=["realtime"], responses=ERRORS)

SDP = "application/sdp"
SESSION_CHARS = 1 << 20
"""Maximum characters of the part `session`; the session itself has a lower limit, and names the field."""
CallId = Annotated[str, Path(description="Last part of the `Location` of the call.", max_length=128)]

_TEXT = {"type": "string"}
_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            SDP: {"schema": {**_TEXT, "description": "The SDP offer. The session is that of the ephemeral key, or has the defaults."}},
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["sdp"],
                    "properties": {
                        "sdp": {**_TEXT, "description": "The SDP offer."},
                        "session": {**_TEXT, "description": "The session as JSON, as in `session.update`."},
                    },
                }
            },
        },
    },
}
_ANSWER: dict[int | str, dict[str, Any]] = {
    201: {
        "description": "The SDP answer, with all candidates.",
        "content": {SDP: {"schema": _TEXT}},
        "headers": {"Location": {"description": "Path of the call; its last part is the id of the call.", "schema": _TEXT}},
    }
}


class CallsBody(BaseModel):
    """Whether the server accepts calls."""

    available: bool
    reason: str
    """Why it does not; empty if it does."""


@router.get("")
async def calls_offered(request: Request, settings: SettingsDep) -> CallsBody:
    """Report whether this server accepts calls over WebRTC, an extension for pages that choose between WebRTC and a WebSocket."""
    calls: Calls = request.app.state.calls
    try:
        _check_enabled(settings)
        calls.check()
    except SpeechError as error:
        return CallsBody(available=False, reason=error.message)
    return CallsBody(available=True, reason="")


@router.post("", status_code=201, response_class=Response, responses=_ANSWER, openapi_extra=_BODY)
async def create_call(request: Request, engine: EngineDep, settings: SettingsDep) -> Response:
    """Answer the SDP offer of a WebRTC client, and begin a Realtime session with it.

    Audio is on the tracks. Events are JSON messages on the data channel `oai-events`, which the client creates.
    """
    _check_enabled(settings)
    calls: Calls = request.app.state.calls
    grant = grant_of(request)
    owner = owner_of(request, grant)
    with ExitStack() as held:
        # Before anything is parsed: an offer too many costs nothing.
        held.enter_context(calls.slot(owner))
        held.enter_context(request.app.state.realtime_slots.taken(owner.holder))
        sdp, configured = await _offer(request)
        asked = _session_request(request, grant, configured, settings, engine)
        with egress.keeping(local_only=is_local_only(request, grant)):
            call = await _open(request, asked, sdp, owner, held)
    return Response(call.answer, 201, {"Location": f"{settings.os_root_path}{router.prefix}/{call.id}"}, media_type=SDP)


@router.post("/{call_id}/hangup", response_class=Response)
async def hang_up(call_id: CallId, request: Request) -> Response:
    """End a call. Only the API key that made it, or that created the ephemeral key that made it, may do so."""
    calls: Calls = request.app.state.calls
    await calls.hang_up(calls.find(call_id, owner_of(request, grant_of(request))))
    return Response()


@router.post("/{call_id}/{operation}", include_in_schema=False)
async def telephone(call_id: CallId, operation: str) -> Response:
    """Return 404 for `accept`, `reject` and `refer`, which exist for calls by telephone (SIP), and for everything else."""
    raise UnknownPath("This server has no calls by telephone (SIP): of the operations of a call, only `hangup` exists.")


async def attach(socket: WebSocket) -> None:
    """Serve a WebSocket with `call_id`, which receives the events of a call and may send events. Raises UnknownItem."""
    calls: Calls = socket.app.state.calls
    call = calls.find(socket.query_params["call_id"], owner_of(socket, grant_of(socket)))
    if not isinstance(call.session, Connection):
        raise UnsupportedValue("This call is not a Realtime session.", param="call_id")
    await call.session.attach(socket)


async def _open(request: Request, asked: SessionRequest, sdp: str, owner: Owner, held: ExitStack) -> Call:
    """Create the session, answer the offer and begin the call, which takes over what is held."""
    settings: Settings = request.app.state.settings
    engine: Engine = request.app.state.engine
    calls: Calls = request.app.state.calls
    models = language_models(request.app)
    name = await language_model(models, asked)
    session = session_of(asked, settings, engine, name, can_pause=True)
    call = await calls.answer(sdp, owner, id=f"rtc_{uuid4().hex}")
    llm = None
    try:
        llm = await models.open(name) if name else None
    except BaseException:
        await call.peer.aclose()
        raise
    media, track = CallMedia(call.peer.playback), CallInput(call.peer, lambda: session.config)
    connection = Connection(call.peer, engine, session, llm=llm, media=media, track=track)
    call.session = connection

    async def work(call: Call) -> None:
        try:
            await call.peer.connected(settings.os_webrtc_connect_timeout_s)
            await connection.run()
        finally:
            connection.release()
            if llm is not None:
                await llm.aclose()

    calls.begin(call, work, held.pop_all())
    return call


def _check_enabled(settings: Settings) -> None:
    if not settings.os_realtime_enabled:
        raise UnknownPath("This server does not serve the Realtime API: OS_REALTIME_ENABLED is off.")


def _session_request(
    request: Request, grant: Grant | None, configured: dict[str, Any] | None, settings: Settings, engine: Engine
) -> SessionRequest:
    """Return the requested session: that of the ephemeral key, or that of the form. Raises UnsupportedValue if there are two."""
    if grant is not None and configured is not None:
        raise UnsupportedValue("The ephemeral key is for a session already: send the offer without `session`.", param="session")
    if configured is None:
        return session_request(request.query_params, request.headers, grant, lambda name: task_of(settings, engine, name))
    kind = configured.get("type", "realtime")
    if kind not in ("realtime", "transcription"):
        raise InvalidValue("`session.type` must be realtime or transcription.", param="session.type")
    model = configured.get("model")
    if model is not None and not isinstance(model, str):
        raise InvalidValue("`session.model` must be a string.", param="session.model")
    return SessionRequest(kind, model or request.query_params.get("model", ""), configured=configured)


async def _offer(request: Request) -> tuple[str, dict[str, Any] | None]:
    """Read the offer, and the session if the body is a form with one. Raises subclasses of InvalidRequest that name the field."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == SDP:
        return (await request.body()).decode("utf-8", "replace"), None
    if kind != "multipart/form-data":
        raise InvalidRequest(f"Send the offer as `{SDP}`, or as the part `sdp` of `multipart/form-data`.")
    try:
        async with request.form(max_files=2, max_fields=8, max_part_size=SESSION_CHARS) as form:
            sdp, session = await _part(form, "sdp", MAX_CHARS), await _part(form, "session", SESSION_CHARS)
    except MultiPartException as broken:
        raise InvalidRequest(f"The form is invalid: {broken.message}") from None
    if sdp is None:
        raise MissingField("The form has no part `sdp`.", param="sdp")
    return sdp, None if session is None else _json(session)


async def _part(form: FormData, name: str, longest: int) -> str | None:
    """Return a part of the form, with or without a file name, cut after `longest` bytes and one more."""
    part = form.get(name)
    return (await part.read(longest + 1)).decode("utf-8", "replace") if isinstance(part, UploadFile) else part


def _json(text: str) -> dict[str, Any]:
    try:
        session = json.loads(text)
    except (ValueError, RecursionError):
        session = None
    if not isinstance(session, dict):
        raise InvalidValue("The part `session` must be a JSON object.", param="session")
    return session
