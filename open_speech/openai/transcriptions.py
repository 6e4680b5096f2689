"""POST /v1/audio/transcriptions and /v1/audio/translations: speech to text."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from open_speech.errors import UnsupportedValue
from open_speech.openai import answers
from open_speech.openai.dependencies import EngineDep
from open_speech.openai.errors import validated
from open_speech.openai.forms import read_upload
from open_speech.openai.live import while_connected
from open_speech.openai.schemas import ERRORS, ListenRequest, TranscriptionBody, TranscriptionRequest, TranslationRequest, VerboseBody

router = APIRouter(prefix="/v1/audio", tags=["listen"], responses=ERRORS)

_IGNORES_STREAM = "whisper-1"
"""OpenAI documents that this name answers whole, whatever `stream` says."""


def _body_schema(model: type[ListenRequest]) -> dict[str, Any]:
    """Describe both encodings of an upload, for the OpenAPI document: FastAPI cannot see them, as the route reads them by itself."""
    fields = model.model_json_schema()
    form = {**fields, "properties": {"file": {"type": "string", "format": "binary"}, **fields["properties"]}}
    base64 = {"type": "object", "required": ["data"], "properties": {"data": {"type": "string", "format": "byte"}}}
    body = {**fields, "properties": {"input_audio": base64, **fields["properties"]}}
    content = {
        "multipart/form-data": {"schema": {**form, "required": ["file", *fields["required"]]}},
        "application/json": {"schema": {**body, "required": ["input_audio", *fields["required"]]}},
    }
    return {"requestBody": {"required": True, "content": content}}


_ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {"model": TranscriptionBody | VerboseBody, "content": {"text/plain": {}}, "description": "The text, in `response_format`."}
}


@router.post("/transcriptions", openapi_extra=_body_schema(TranscriptionRequest), responses=_ANSWERS)
async def create_transcription(request: Request, engine: EngineDep) -> Response:
    """Write down what is said in a media file, in its own language."""
    async with read_upload(request) as upload:
        body = validated(TranscriptionRequest, upload.fields)
        streams = bool(body.stream) and body.model != _IGNORES_STREAM
        if streams and body.response_format not in ("json", "text"):
            raise UnsupportedValue(f"`stream` cannot be combined with the format `{body.response_format}`.", param="stream")
        transcript = await while_connected(request.receive, engine.transcribe(upload.source, body.model, body.options()))
    if streams:
        return answers.events(transcript)
    return answers.answer(transcript, body.response_format, body.timestamp_granularities)


@router.post("/translations", openapi_extra=_body_schema(TranslationRequest), responses=_ANSWERS)
async def create_translation(request: Request, engine: EngineDep) -> Response:
    """Write down in English what is said in a media file, in whatever language."""
    async with read_upload(request) as upload:
        body = validated(TranslationRequest, upload.fields)
        transcript = await while_connected(request.receive, engine.transcribe(upload.source, body.model, body.options()))
    return answers.answer(transcript, body.response_format)
