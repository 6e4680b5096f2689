"""The WebSocket endpoint /v1/realtime: checks of the handshake, and the lifetime of a connection."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response
from starlette.websockets import WebSocket

from open_speech.api.realtime.connection import Connection
from open_speech.api.realtime.events import failure
from open_speech.api.realtime.opening import language_model, new_id, session_of, session_request, task_of
from open_speech.api.realtime.secrets import Grant, Secrets, is_ephemeral
from open_speech.concurrency.slots import Slots
from open_speech.config import Settings
from open_speech.engine import Engine
from open_speech.errors import BackendUnavailable, SpeechError, Unauthorized, UnknownPath, UpgradeRequired
from open_speech.http.caller import holder_of
from open_speech.http.errors import error_response
from open_speech.http.inbox import accept
from open_speech.http.middleware.auth import MOST_KEYS, presented_keys
from open_speech.http.websockets import check_origin, chosen_subprotocol, turn_away
from open_speech.security import egress

router = APIRouter()

PROTOCOL = "realtime"
"""The subprotocol that is selected whenever it is offered: OpenAI's SDK for browsers accepts no other."""


@router.get("/v1/realtime", include_in_schema=False)
async def not_a_websocket() -> Response:
    """Return the error for a client that uses plain HTTP."""
    return error_response(UpgradeRequired("This is a WebSocket: connect with ws:// or wss://."), {"Upgrade": "websocket"})


@router.websocket("/v1/realtime")
async def realtime(socket: WebSocket) -> None:
    """Serve a Realtime session.

    The handshake is accepted first: a rejected one gives the client no reason, and a handler that fails before it hangs under BentoML.
    """
    offered = [name.strip() for name in socket.headers.get("sec-websocket-protocol", "").split(",")]
    await accept(socket, PROTOCOL if PROTOCOL in offered else chosen_subprotocol(socket.headers))
    try:
        await _serve(socket)
    except SpeechError as error:
        await turn_away(socket, error, {"event_id": new_id("event"), **failure(error, None)})


async def _serve(socket: WebSocket) -> None:
    """Serve one connection to its end. Raises SpeechError if the session cannot begin."""
    settings: Settings = socket.app.state.settings
    engine: Engine | None = socket.app.state.engine
    slots: Slots = socket.app.state.realtime_slots
    if not settings.os_realtime_enabled:
        raise UnknownPath("This server does not serve the Realtime API: OS_REALTIME_ENABLED is off.")
    check_origin(socket.headers, settings.socket_origins)
    if engine is None:
        raise BackendUnavailable("The server is still starting.", retry_after_s=1)
    grant = _grant(socket)
    holder = grant.holder if grant else holder_of(socket.scope)
    # The middleware knows the right of an API key; an ephemeral key has that of the key that created it.
    with slots.taken(holder), egress.keeping(local_only=settings.is_local_only(holder)):
        request = session_request(socket.query_params, socket.headers, grant, lambda name: task_of(settings, engine, name))
        session, llm = session_of(request, settings, engine), language_model(settings)
        try:
            await Connection(socket, engine, session, llm=llm).run()
        finally:
            if llm is not None:
                await llm.aclose()


def _grant(socket: WebSocket) -> Grant | None:
    """Return the grant of the connection's ephemeral key, if it has one. Raises Unauthorized for a key that is no longer valid."""
    secrets: Secrets = socket.app.state.realtime_secrets
    keys = presented_keys(socket.headers)[:MOST_KEYS]  # a server without API keys has not limited their number yet
    grant = secrets.find(keys)
    if grant is None and keys and all(is_ephemeral(key) for key in keys):
        raise Unauthorized("The ephemeral key is invalid or has expired.")
    return grant
