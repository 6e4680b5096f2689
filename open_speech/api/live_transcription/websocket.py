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
from open_speech.api.live_transcription.session import Session
from open_speech.backends import TranscribeOptions
from open_speech.concurrency.slots import Slots
from open_speech.config import Settings
from open_speech.engine import Engine
from open_speech.errors import BackendUnavailable, SpeechError, UpgradeRequired
from open_speech.http.caller import holder_of
from open_speech.http.errors import error_response
from open_speech.http.inbox import accept
from open_speech.http.websockets import check_origin, chosen_subprotocol, turn_away
from open_speech.recognition.live.input_buffer import InputBuffer
from open_speech.recognition.live.live_input import LiveInput
from open_speech.recognition.live.turn_detection import TurnDetector

router = APIRouter()

PREFIX_MS = 300
"""Milliseconds before the detected start of an utterance that belong to it: a first consonant is faint."""


@router.get("/v1/audio/stream", include_in_schema=False)
@router.get("/v1/audio/transcriptions/stream", include_in_schema=False)
async def not_a_websocket() -> Response:
    """Return the error for a client that uses plain HTTP."""
    return error_response(UpgradeRequired("This is a WebSocket: connect with ws:// or wss://."), {"Upgrade": "websocket"})


@router.websocket("/v1/audio/stream")
@router.websocket("/v1/audio/transcriptions/stream")
async def audio_stream(socket: WebSocket) -> None:
    """Transcribe speech while it is spoken.

    The handshake is accepted first: a rejected one gives the client no reason, and a handler that fails before it hangs under BentoML.
    """
    await accept(socket, chosen_subprotocol(socket.headers))
    settings: Settings = socket.app.state.settings
    engine: Engine | None = socket.app.state.engine
    slots: Slots = socket.app.state.slots
    try:
        check_origin(socket.headers, settings.socket_origins)
        query = messages.query(socket.query_params)
        if engine is None:
            raise BackendUnavailable("The server is still starting.", retry_after_s=1)
        with slots.taken(holder_of(socket.scope)):
            await _serve(socket, settings, engine, query)
    except SpeechError as error:
        await turn_away(socket, error, messages.failure(error))


async def _serve(socket: WebSocket, settings: Settings, engine: Engine, query: messages.Query) -> None:
    """Serve one connection. Raises subclasses of SpeechError if the model or the options are not valid."""
    vad = settings.stt_vad_enabled if query.vad is None else query.vad
    endpointing_ms = settings.stream_endpointing_ms if query.endpointing is None else query.endpointing
    recognizer = await engine.recognition.recognizer(
        query.model, TranscribeOptions(language=query.language, prompt=query.prompt, hotwords=query.hotwords)
    )
    turns = TurnDetector(settings.stream_vad_threshold, PREFIX_MS, endpointing_ms) if vad else None
    input = LiveInput(InputBuffer(await engine.recognition.detector() if vad else None, turns))
    session = Session(vad=vad, interim_results=query.interim_results, resumable=query.resumable)
    greeting = messages.session_begin(
        query, session_id=f"stream_{uuid.uuid4().hex}", model=recognizer.model, vad=vad, endpointing_ms=endpointing_ms
    )
    connection = Connection(
        socket, engine.pool, session, recognizer, input, rate=query.sample_rate, idle_s=settings.os_stream_idle_timeout_s
    )
    await connection.run(greeting)
