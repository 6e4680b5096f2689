"""The WebSocket endpoint /v1/realtime: checks of the handshake, and the lifetime of a connection."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response
from starlette.websockets import WebSocket

from open_speech.api.realtime import calls
from open_speech.api.realtime.connection import Connection
from open_speech.api.realtime.events import failure
from open_speech.api.realtime.grants import grant_of, is_local_only
from open_speech.api.realtime.opening import language_model, new_id, session_of, session_request, task_of
from open_speech.concurrency.slots import Slots
from open_speech.config import Settings
from open_speech.dialogue.language_models import language_models
from open_speech.errors import SpeechError, UnknownPath
from open_speech.http.caller import holder_of
from open_speech.http.inbox import accept
from open_speech.http.websockets import chosen_subprotocol, engine_for, turn_away, upgrade_required
from open_speech.security import egress

router = APIRouter()

PROTOCOL = "realtime"
"""The subprotocol that is selected whenever it is offered: OpenAI's SDK for browsers accepts no other."""


@router.get("/v1/realtime", include_in_schema=False)
async def not_a_websocket() -> Response:
    """Return the error for a client that uses plain HTTP."""
    return upgrade_required()


@router.websocket("/v1/realtime")
async def realtime(socket: WebSocket) -> None:
    """Serve a Realtime session.

    The handshake is accepted first: a rejected one gives the client no reason, and a handler that fails before it hangs under BentoML.
    """
    await accept(socket, chosen_subprotocol(socket.headers, preferred=PROTOCOL))
    try:
        await _serve(socket)
    except SpeechError as error:
        await turn_away(socket, error, {"event_id": new_id("event"), **failure(error, None)})


async def _serve(socket: WebSocket) -> None:
    """Serve one connection to its end. Raises SpeechError if the session cannot begin."""
    settings: Settings = socket.app.state.settings
    slots: Slots = socket.app.state.realtime_slots
    if not settings.os_realtime_enabled:
        raise UnknownPath("This server does not serve the Realtime API: OS_REALTIME_ENABLED is off.")
    engine = engine_for(socket)
    if "call_id" in socket.query_params:
        await calls.attach(socket)
        return
    grant = grant_of(socket)
    holder = grant.holder if grant else holder_of(socket.scope)
    with slots.taken(holder), egress.keeping(local_only=is_local_only(socket, grant)):
        request = session_request(socket.query_params, socket.headers, grant, lambda name: task_of(settings, engine, name))
        models = language_models(socket.app)
        name = await language_model(models, request)
        session = session_of(request, settings, engine, name)
        llm = await models.open(name) if name else None
        try:
            await Connection(socket, engine, session, llm=llm).run()
        finally:
            if llm is not None:
                await llm.aclose()
