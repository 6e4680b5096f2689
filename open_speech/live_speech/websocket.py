"""WebSocket /v1/audio/speech/stream: who may connect, and where the conversation begins and ends."""

from __future__ import annotations

from contextlib import suppress

from fastapi import APIRouter
from starlette.websockets import WebSocket, WebSocketDisconnect

from open_speech.config import Settings
from open_speech.engine import Engine
from open_speech.errors import BackendUnavailable, InvalidRequest, SpeechError
from open_speech.live_speech import messages
from open_speech.live_speech.conversation import Conversation
from open_speech.live_speech.session import POLICY, TRY_LATER
from open_speech.sockets import Seats, chosen_subprotocol, is_welcome

router = APIRouter()


@router.websocket("/v1/audio/speech/stream")
async def speech_stream(socket: WebSocket) -> None:
    """Speak text while it is written.

    Accepted before anything else: a refusal instead tells the client nothing, and a handler that fails before it hangs under BentoML.
    """
    await socket.accept(chosen_subprotocol(socket.headers))
    settings: Settings = socket.app.state.settings
    if not is_welcome(socket.headers, settings.os_cors_origins):
        await _refuse(socket, InvalidRequest("Pages of this origin may not connect; OS_CORS_ORIGINS lists those that may."), POLICY)
        return
    engine: Engine | None = socket.app.state.engine
    seats: Seats = socket.app.state.seats
    try:
        if engine is None:
            raise BackendUnavailable("The server is still starting.", retry_after_s=1)
        with seats.taken():
            await Conversation(socket, engine, idle_s=settings.os_stream_idle_timeout_s).run()
    except SpeechError as error:
        await _refuse(socket, error, TRY_LATER)


async def _refuse(socket: WebSocket, error: SpeechError, code: int) -> None:
    with suppress(WebSocketDisconnect):  # the client has left already
        await socket.send_text(messages.written(messages.failure(error)))
        await socket.close(code)
