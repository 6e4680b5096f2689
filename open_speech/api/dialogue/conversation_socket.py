"""The WebSocket /v1/conversation/ws: a spoken conversation, turn by turn."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.websockets import WebSocket

from open_speech.api.dialogue.conversation import Conversation, Services
from open_speech.api.dialogue.conversation_messages import failure
from open_speech.api.gemmavoice.channel import Channel
from open_speech.api.gemmavoice.opening import opened
from open_speech.api.jobs.owners import owner_of
from open_speech.config import Settings
from open_speech.dialogue.language_models import language_models
from open_speech.dialogue.turn import Turns
from open_speech.engine import Engine
from open_speech.http.caller import KEY_NAME

router = APIRouter()

MIB = 1 << 20
LONGEST_MIB = 16
"""Maximum audio of one message or one turn, in MiB: more than eight minutes of 16-bit audio at 16 kHz."""


@router.websocket("/v1/conversation/ws")
async def conversation_socket(socket: WebSocket) -> None:
    """Serve one connection."""

    async def serve(engine: Engine, settings: Settings) -> None:
        max_bytes = min(settings.os_max_upload_mb, LONGEST_MIB) * MIB
        channel = Channel(
            socket,
            idle_s=settings.os_stream_idle_timeout_s,
            longest=max_bytes * 4 // 3 + 65_536,
            failure=failure,
            is_audio=lambda message: message["type"] == "audio",
        )
        services = Services(engine, settings, Turns(engine, socket.app.state.dialogues), language_models(socket.app))
        owner = owner_of(socket.scope.get(KEY_NAME), settings.keys)
        await channel.run(Conversation(channel, services, owner=owner, max_bytes=max_bytes).process)

    await opened(socket, serve, failure)
