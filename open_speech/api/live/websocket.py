"""The endpoints below /v1/live/sessions: checks of the handshake, and the lifetime of a connection."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import APIRouter
from starlette.responses import Response
from starlette.websockets import WebSocket, WebSocketDisconnect

from open_speech.api.live.connection import Connection
from open_speech.api.live.errors import UnknownSession, failure
from open_speech.api.live.messages import with_id
from open_speech.api.live.open_sessions import LiveSessions
from open_speech.api.live.opening import StartFailed, first_event, open_session
from open_speech.concurrency.slots import Slots
from open_speech.config import Settings
from open_speech.dialogue.language_models import language_models
from open_speech.engine import Engine
from open_speech.errors import InvalidRequest, SpeechError, UnknownPath
from open_speech.http.caller import holder_of
from open_speech.http.errors import error_response
from open_speech.http.inbox import Inbox, accept
from open_speech.http.websockets import chosen_subprotocol, engine_for, turn_away, upgrade_required
from open_speech.security import egress

router = APIRouter()

PATH = "/v1/live/sessions"


@router.get(PATH, include_in_schema=False)
@router.get(f"{PATH}/{{session_id}}/attach", include_in_schema=False)
async def not_a_websocket() -> Response:
    """Return the error for a client that uses plain HTTP."""
    return upgrade_required()


@router.get(f"{PATH}/{{session_id}}/content", include_in_schema=False)
@router.get(f"{PATH}/{{session_id}}/fork", include_in_schema=False)
@router.post(f"{PATH}/{{session_id}}/fork", include_in_schema=False)
async def not_stored(session_id: str) -> Response:
    """Return the error for what needs a stored session."""
    return error_response(UnknownSession("No stored session has this id: this server does not store sessions."))


@router.websocket(PATH)
async def live(socket: WebSocket) -> None:
    """Serve a Live session."""
    await _accepted(socket, _serve)


@router.websocket(f"{PATH}/{{session_id}}/attach")
async def attach(socket: WebSocket, session_id: str) -> None:
    """Attach a connection to a session in progress."""

    async def serve(socket: WebSocket) -> None:
        _engine(socket)
        sessions: LiveSessions = socket.app.state.live_sessions
        await sessions.find(session_id, holder_of(socket.scope)).attach(socket)

    await _accepted(socket, serve)


@router.websocket(f"{PATH}/{{session_id}}/fork")
async def fork(socket: WebSocket, session_id: str) -> None:
    """Refuse to continue a stored session."""

    async def serve(socket: WebSocket) -> None:
        _engine(socket)
        raise UnknownSession("No stored session has this id: this server does not store sessions.")

    await _accepted(socket, serve)


async def _accepted(socket: WebSocket, serve: Callable[[WebSocket], Coroutine[Any, Any, None]]) -> None:
    """Accept a connection and serve it.

    The handshake is accepted first: a rejected one gives the client no reason, and a handler that fails before it hangs under BentoML.
    """
    await accept(socket, chosen_subprotocol(socket.headers))
    try:
        await serve(socket)
    except StartFailed as failed:
        await _turn_away(socket, failed.error, failed.event_id)
    except SpeechError as error:
        await _turn_away(socket, error, None)
    except WebSocketDisconnect:
        return  # the client has left before its session began


async def _turn_away(socket: WebSocket, error: SpeechError, event_id: str | None) -> None:
    await turn_away(socket, error, with_id(failure(error, event_id)))


def _engine(socket: WebSocket) -> Engine:
    """Return the engine. Raises UnknownPath if the API is disabled, InvalidRequest for a page, and BackendUnavailable at the start."""
    settings: Settings = socket.app.state.settings
    if not settings.os_live_enabled:
        raise UnknownPath("This server does not serve the Live API: OS_LIVE_ENABLED is off.")
    return engine_for(socket)


async def _serve(socket: WebSocket) -> None:
    """Serve one session to its end. Raises StartFailed or SpeechError if it cannot begin."""
    engine, settings = _engine(socket), socket.app.state.settings
    slots: Slots = socket.app.state.realtime_slots
    holder = holder_of(socket.scope)
    inbox = Inbox(socket)
    with slots.taken(holder), egress.keeping(local_only=settings.is_local_only(holder)):
        start = await first_event(inbox)
        models = language_models(socket.app)
        try:
            opened = await open_session(start.session, settings, engine, models)
        except InvalidRequest as error:
            raise StartFailed(error, start.event_id) from None
        llm = await models.open(opened.llm) if opened.llm else None
        connection = Connection(socket, inbox, opened.session, holder=holder)
        try:
            with socket.app.state.live_sessions.listed(connection):
                await connection.run(engine, opened.speech, llm, start.event_id)
        finally:
            if llm is not None:
                await llm.aclose()
