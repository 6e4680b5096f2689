"""POST /v1/audio/speech: text to speech, sent as it is made."""

from __future__ import annotations

import base64
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, Self

from fastapi import APIRouter, Request
from starlette.responses import Response

from open_speech.audio import Audio
from open_speech.codecs import MEDIA_TYPES, encode_stream
from open_speech.config import AudioFormat
from open_speech.engine import Engine
from open_speech.errors import BackendFailed, SpeechError
from open_speech.openai import sse
from open_speech.openai.dependencies import EngineDep, SettingsDep
from open_speech.openai.errors import envelope
from open_speech.openai.live import LiveResponse, resumed, while_connected
from open_speech.openai.schemas import ERRORS, SpeechRequest, TokenUsage
from open_speech.speaking import Speech

router = APIRouter(prefix="/v1/audio", tags=["speak"], responses=ERRORS)

_ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {
        "content": {kind: {"schema": {"type": "string", "format": "binary"}} for kind in MEDIA_TYPES.values()} | {sse.MEDIA_TYPE: {}},
        "description": "The sound, in `response_format`; with `stream_format=sse` as events that carry it in base64.",
    }
}


@router.post("/speech", responses=_ANSWERS, response_class=Response)
async def create_speech(body: SpeechRequest, request: Request, engine: EngineDep, settings: SettingsDep) -> Response:
    """Speak a text. The answer begins when the first sound is there; a failure before that has its own status."""
    form = body.response_format or settings.tts_default_format
    meter = _Meter()
    sound = _encoded(engine, body, form, meter)
    first = await while_connected(request.receive, anext(sound, None))
    if first is None:
        raise BackendFailed("The backend made no sound.")
    sound = resumed(first, sound)
    if body.stream_format == "sse":
        return LiveResponse(_events(sound, body.input, meter), sse.MEDIA_TYPE)
    return LiveResponse(sound, MEDIA_TYPES[form])


class _Meter:
    """An iterator over a speech that sums up how long it was."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._speech: Speech | None = None

    def over(self, speech: Speech) -> Self:
        self._speech = speech
        return self

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Audio:
        if self._speech is None:
            raise StopAsyncIteration
        piece = await self._speech.__anext__()
        self.seconds += piece.seconds
        return piece


async def _encoded(engine: Engine, body: SpeechRequest, form: AudioFormat, meter: _Meter) -> AsyncGenerator[bytes, None]:
    speech = await engine.speak(body.model, body.input, voice=body.voice_id, speed=body.speed, language=body.language)
    async with aclosing(speech):
        async with aclosing(encode_stream(meter.over(speech), form, speech.rate)) as chunks:
            async for chunk in chunks:
                yield chunk


async def _events(sound: AsyncGenerator[bytes, None], text: str, meter: _Meter) -> AsyncGenerator[bytes, None]:
    """Carry sound in events; a failure is an event too, as the status went out with the first one."""
    async with aclosing(sound):
        try:
            async for chunk in sound:
                yield sse.event({"type": "speech.audio.delta", "audio": base64.b64encode(chunk).decode()})
        except SpeechError as error:
            yield sse.event(envelope(error))
            return
        yield sse.event({"type": "speech.audio.done", "usage": TokenUsage.spoken(text, meter.seconds).model_dump()})
