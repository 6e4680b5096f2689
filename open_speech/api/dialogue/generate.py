"""POST /v1/generate and /v1/generate_stream: text from a prompt, whole or as server-sent events."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from open_speech import logs
from open_speech.api.dialogue.bodies import FinishReason, GenerateBody
from open_speech.api.dialogue.generate_request import GenerateRequest, generated
from open_speech.api.gemmavoice.errors import ERRORS, detail_of
from open_speech.dialogue.completions import Ended, Reason, TextDelta
from open_speech.dialogue.language_models import LanguageModels, language_models
from open_speech.errors import LanguageModelUnavailable, SpeechError
from open_speech.http.dependencies import EngineDep
from open_speech.http.disconnect import LiveResponse, while_connected
from open_speech.http.json_bodies import JsonRoute
from open_speech.http.sse import MEDIA_TYPE
from open_speech.metrics.meter import Meter

router = APIRouter(prefix="/v1", tags=["dialogue"], responses=ERRORS, route_class=JsonRoute)

_REASONS: dict[Reason, FinishReason] = {"": "stop", "max_output_tokens": "length", "content_filter": "content_filter"}


@router.post("/generate", response_model=GenerateBody)
async def generate(body: GenerateRequest, request: Request, engine: EngineDep) -> GenerateBody:
    """Generate a text."""
    return await while_connected(request.receive, _whole(body, language_models(request.app), engine.meter))


@router.post("/generate_stream", response_class=Response, responses={200: {"content": {MEDIA_TYPE: {}}}})
async def generate_stream(body: GenerateRequest, request: Request, engine: EngineDep) -> Response:
    """Generate a text, and send it as it is generated: the events `text`, `usage` and `done`, or `error`."""
    return LiveResponse(_events(body, language_models(request.app), engine.meter), MEDIA_TYPE)


async def _whole(body: GenerateRequest, models: LanguageModels, meter: Meter) -> GenerateBody:
    texts: list[str] = []
    model, ended = "", Ended()
    async with aclosing(generated(body, models, meter)) as pieces:
        async for name, piece in pieces:
            match piece:
                case TextDelta(text):
                    texts.append(text)
                case Ended():
                    model, ended = name, piece
    return GenerateBody(generated_text="".join(texts), model=model, finish_reason=_REASONS[ended.reason], usage=dict(ended.usage))


async def _events(body: GenerateRequest, models: LanguageModels, meter: Meter) -> AsyncGenerator[bytes, None]:
    """Yield the events. An error is an event, whenever it occurs: GemmaVoice's clients expect the status 200."""
    try:
        async with aclosing(generated(body, models, meter)) as pieces:
            async for name, piece in pieces:
                match piece:
                    case TextDelta(text):
                        yield _event("text", {"text": text})
                    case Ended(reason, usage):
                        yield _event("usage", dict(usage))
                        yield _event("done", {"finish_reason": _REASONS[reason], "model": name})
    except SpeechError as error:
        logs.note_error(error.code or error.type)
        yield _event("error", {"code": code_of(error), "message": detail_of(error)})


def code_of(error: SpeechError) -> str:
    """Return GemmaVoice's code for an error."""
    return "MODEL_NOT_LOADED" if isinstance(error, LanguageModelUnavailable) else "STREAM_ERROR"


def _event(name: str, data: dict[str, Any]) -> bytes:
    return f"event: {name}\ndata: {json.dumps(data, separators=(',', ':'))}\n\n".encode()
