"""The WebSockets of GemmaVoice's API: checks of the handshake, and the lifetime of a connection."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response
from starlette.websockets import WebSocket

from open_speech.api.gemmavoice.errors import event_of
from open_speech.api.gemmavoice.live_transcription import LiveSocket
from open_speech.api.gemmavoice.opening import opened
from open_speech.api.gemmavoice.speech_socket import SpeechSocket
from open_speech.api.gemmavoice.transcription_socket import TranscriptionSocket
from open_speech.config import Settings
from open_speech.engine import Engine
from open_speech.http.websockets import upgrade_required

router = APIRouter()
Kind = type[TranscriptionSocket] | type[LiveSocket] | type[SpeechSocket]


@router.get("/v1/speech-to-text/ws", include_in_schema=False)
@router.get("/ws/stt", include_in_schema=False)
@router.get("/v1/speech-to-text/stream", include_in_schema=False)
@router.get("/v1/text-to-speech/ws", include_in_schema=False)
@router.get("/ws/tts", include_in_schema=False)
async def not_a_websocket() -> Response:
    """Return the error for a client that uses plain HTTP."""
    return upgrade_required()


@router.websocket("/v1/speech-to-text/ws")
@router.websocket("/ws/stt")
async def transcribe(socket: WebSocket) -> None:
    """Transcribe files that are sent in chunks."""
    await _serve(socket, TranscriptionSocket)


@router.websocket("/v1/speech-to-text/stream")
async def transcribe_live(socket: WebSocket) -> None:
    """Transcribe speech while it is spoken."""
    await _serve(socket, LiveSocket)


@router.websocket("/v1/text-to-speech/ws")
@router.websocket("/ws/tts")
async def speak(socket: WebSocket) -> None:
    """Speak one text after another."""
    await _serve(socket, SpeechSocket)


async def _serve(socket: WebSocket, kind: Kind) -> None:
    async def serve(engine: Engine, settings: Settings) -> None:
        await kind(socket, engine, settings).run()

    await opened(socket, serve, event_of)
