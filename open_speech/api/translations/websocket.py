"""The WebSocket endpoint /v1/realtime/translations: checks of the handshake, and the lifetime of a connection."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response
from starlette.websockets import WebSocket

from open_speech.api.realtime.grants import grant_of, is_local_only
from open_speech.api.realtime.secrets import Grant
from open_speech.api.realtime.websocket import PROTOCOL
from open_speech.api.translations import messages
from open_speech.api.translations.connection import Connection
from open_speech.api.translations.opening import inputs_of, opened, recognizers_of
from open_speech.concurrency.slots import Slots
from open_speech.config import Settings
from open_speech.dialogue.language_models import language_models
from open_speech.errors import MissingField, SpeechError, UnknownPath, UnsupportedValue
from open_speech.http.caller import holder_of
from open_speech.http.inbox import accept
from open_speech.http.websockets import chosen_subprotocol, engine_for, turn_away, upgrade_required
from open_speech.security import egress

router = APIRouter()


@router.get("/v1/realtime/translations", include_in_schema=False)
async def not_a_websocket() -> Response:
    """Return the error for a client that uses plain HTTP."""
    return upgrade_required()


@router.websocket("/v1/realtime/translations")
async def translations(socket: WebSocket) -> None:
    """Translate speech while it is spoken.

    The handshake is accepted first: a rejected one gives the client no reason, and a handler that fails before it hangs under BentoML.
    """
    await accept(socket, chosen_subprotocol(socket.headers, preferred=PROTOCOL))
    try:
        await _serve(socket)
    except SpeechError as error:
        await turn_away(socket, error, messages.error(error))


async def _serve(socket: WebSocket) -> None:
    """Serve one connection to its end. Raises SpeechError if the session cannot begin."""
    settings: Settings = socket.app.state.settings
    slots: Slots = socket.app.state.realtime_slots
    if not settings.os_realtime_enabled:
        raise UnknownPath("This server does not serve the Realtime API: OS_REALTIME_ENABLED is off.")
    engine = engine_for(socket)
    grant = grant_of(socket)
    holder = grant.holder if grant else holder_of(socket.scope)
    with slots.taken(holder), egress.keeping(local_only=is_local_only(socket, grant)):
        model = _model(socket.query_params.get("model", ""), grant)
        models = language_models(socket.app)
        opening = await opened(model, engine, settings, models, grant.configured if grant else None)
        llm = await models.open(opening.llm) if opening.llm else None
        connection = Connection(
            socket,
            opening.session,
            engine.synthesis,
            inputs=await inputs_of(engine, settings),
            recognizers=recognizers_of(engine),
            voices=opening.voices,
            llm=llm,
            idle_s=settings.os_realtime_idle_timeout_s,
        )
        try:
            await connection.run()
        finally:
            if llm is not None:
                await llm.aclose()


def _model(requested: str, grant: Grant | None) -> str:
    """Return the model of the query. Raises MissingField without one, and UnsupportedValue for one that the ephemeral key is not for."""
    if not requested:
        raise MissingField("The query parameter `model` is required: connect to `/v1/realtime/translations?model=…`.", param="model")
    if grant is not None and grant.kind != "translation":
        raise UnsupportedValue(f"The ephemeral key is for a {grant.kind} session, not for a translation session.", param="model")
    if grant is not None and grant.model != requested:
        raise UnsupportedValue(f"The ephemeral key is for the model `{grant.model}`.", param="model")
    return requested
