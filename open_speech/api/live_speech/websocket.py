"""The WebSocket endpoint /v1/audio/speech/stream: checks of the handshake, and the lifetime of a connection."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.websockets import WebSocket

from open_speech.api.live_speech import messages
from open_speech.api.live_speech.connection import Connection
from open_speech.concurrency.slots import Slots
from open_speech.config import Settings
from open_speech.errors import SpeechError
from open_speech.http.caller import holder_of
from open_speech.http.inbox import accept
from open_speech.http.websockets import chosen_subprotocol, engine_for, turn_away

router = APIRouter()


@router.websocket("/v1/audio/speech/stream")
async def speech_stream(socket: WebSocket) -> None:
    """Speak text while it is generated.

    The handshake is accepted first: a rejected one gives the client no reason, and a handler that fails before it hangs under BentoML.
    """
    await accept(socket, chosen_subprotocol(socket.headers))
    settings: Settings = socket.app.state.settings
    slots: Slots = socket.app.state.slots
    try:
        engine = engine_for(socket)
        with slots.taken(holder_of(socket.scope)):
            await Connection(socket, engine, idle_s=settings.os_stream_idle_timeout_s).run()
    except SpeechError as error:
        await turn_away(socket, error, messages.failure(error))
