"""The WebSocket endpoint /v1/audio/stream: checks of the handshake, its options, and the lifetime of a connection.

It has a second path, /v1/audio/transcriptions/stream, which other servers use.
"""

from __future__ import annotations

import uuid

from fastapi import APIRouter
from starlette.responses import Response
from starlette.websockets import WebSocket

from open_speech.api.live_transcription import messages
from open_speech.api.live_transcription.connection import Connection
from open_speech.api.live_transcription.opening import opened
from open_speech.concurrency.slots import Slots
from open_speech.config import Settings
from open_speech.engine import Engine
from open_speech.errors import SpeechError
from open_speech.http.caller import holder_of
from open_speech.http.inbox import accept
from open_speech.http.websockets import chosen_subprotocol, engine_for, turn_away, upgrade_required

router = APIRouter()


@router.get("/v1/audio/stream", include_in_schema=False)
@router.get("/v1/audio/transcriptions/stream", include_in_schema=False)
async def not_a_websocket() -> Response:
    """Return the error for a client that uses plain HTTP."""
    return upgrade_required()


@router.websocket("/v1/audio/stream")
@router.websocket("/v1/audio/transcriptions/stream")
async def audio_stream(socket: WebSocket) -> None:
    """Transcribe speech while it is spoken.

    The handshake is accepted first: a rejected one gives the client no reason, and a handler that fails before it hangs under BentoML.
    """
    await accept(socket, chosen_subprotocol(socket.headers))
    settings: Settings = socket.app.state.settings
    slots: Slots = socket.app.state.slots
    try:
        engine = engine_for(socket)
        query = messages.query(socket.query_params)
        with slots.taken(holder_of(socket.scope)):
            await _serve(socket, settings, engine, query)
    except SpeechError as error:
        await turn_away(socket, error, messages.failure(error))


async def _serve(socket: WebSocket, settings: Settings, engine: Engine, query: messages.Query) -> None:
    """Serve one connection. Raises subclasses of SpeechError if the model or the options are not valid."""
    stream = await opened(query, engine, settings)
    greeting = messages.session_begin(
        query,
        session_id=f"stream_{uuid.uuid4().hex}",
        model=stream.recognizer.model,
        vad=stream.vad,
        endpointing_ms=stream.endpointing_ms,
        is_semantic=stream.is_semantic,
    )
    idle_s = settings.os_stream_idle_timeout_s
    connection = Connection(
        socket,
        engine.pool,
        stream.session,
        stream.recognizer,
        stream.input,
        rate=query.sample_rate,
        idle_s=idle_s,
        tracker=stream.tracker,
    )
    await connection.run(greeting)
