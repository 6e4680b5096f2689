"""The WebSocket /v1/generate_ws: texts from prompts, one after the other, token by token."""

from __future__ import annotations

from contextlib import aclosing
from typing import Any

from fastapi import APIRouter
from starlette.websockets import WebSocket

from open_speech.api.dialogue.generate import code_of
from open_speech.api.dialogue.generate_request import GenerateRequest, generated
from open_speech.api.gemmavoice.channel import Channel
from open_speech.api.gemmavoice.errors import detail_of
from open_speech.api.gemmavoice.opening import opened
from open_speech.config import Settings
from open_speech.dialogue.completions import TextDelta
from open_speech.dialogue.language_models import LanguageModels, language_models
from open_speech.engine import Engine
from open_speech.errors import InvalidRequest, LanguageModelUnavailable, SpeechError
from open_speech.http.errors import validated

router = APIRouter()

MESSAGE_CHARS = 1 << 20
FAILED = 1011
"""Close code without a language model."""


@router.websocket("/v1/generate_ws")
async def generate_socket(socket: WebSocket) -> None:
    """Serve one connection."""

    async def serve(engine: Engine, settings: Settings) -> None:
        channel = Channel(socket, idle_s=settings.os_stream_idle_timeout_s, longest=MESSAGE_CHARS, failure=failure)
        await channel.run(lambda: _process(channel, language_models(socket.app), engine))

    await opened(socket, serve, failure)


async def _process(channel: Channel, models: LanguageModels, engine: Engine) -> None:
    async with aclosing(channel.parts()) as parts:
        async for part in parts:
            try:
                if isinstance(part.data, bytes):
                    raise InvalidRequest("Messages must be text.")
                body = validated(GenerateRequest, await channel.parsed(part.data))
                await _send(channel, body, models, engine)
            except SpeechError as error:
                channel.fail(error)
                if isinstance(error, LanguageModelUnavailable):
                    channel.close(FAILED, "no language model")


async def _send(channel: Channel, body: GenerateRequest, models: LanguageModels, engine: Engine) -> None:
    async with aclosing(generated(body, models, engine.meter)) as pieces:
        async for _, piece in pieces:
            if isinstance(piece, TextDelta):
                await channel.outbox.room()
                channel.send({"token": piece.text})
    channel.send({"status": "done"})


def failure(error: SpeechError) -> dict[str, Any]:
    """Return the message that reports an error."""
    code = "INVALID_REQUEST" if isinstance(error, InvalidRequest) else code_of(error)
    return {"error": code, "message": detail_of(error)}
