"""POST /v1/audio/transcriptions, its variants `verbose` and `batch`, and /v1/audio/translations: speech to text."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable
from contextlib import AsyncExitStack, aclosing
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from open_speech.api.openai import responses
from open_speech.api.openai.recognition_request import recognition_request
from open_speech.api.openai.responses import Extras
from open_speech.api.openai.schemas import ERRORS, BatchBody, DiarizedBody, TranscriptionBody, VerboseBody
from open_speech.api.openai.transcription_events import EventWriter
from open_speech.api.openai.transcription_request import MediaRequest, TranscriptionRequest, TranslationRequest
from open_speech.backends import Task
from open_speech.errors import SpeechError, UnsupportedValue
from open_speech.http import sse
from open_speech.http.dependencies import PoolDep, RecognitionDep, SettingsDep
from open_speech.http.disconnect import LiveResponse, resumed, while_connected
from open_speech.http.errors import envelope, validated
from open_speech.http.uploads import Media, read_upload, read_uploads
from open_speech.recognition.request import RecognitionRequest
from open_speech.recognition.service import Recognition
from open_speech.recognition.transcription import TranscriptionStream
from open_speech.transcript import Transcript

router = APIRouter(prefix="/v1/audio", tags=["listen"], responses=ERRORS)

BATCH_FILES = 32
"""Maximum number of files in one batch."""
BATCH_AT_ONCE = 4
"""Files of one batch that are transcribed at the same time, so that other clients are served as well."""
LONG_S = 300.0
"""Seconds of audio from which the response is formatted in a thread: for an hour of audio, that takes too long for live sessions."""
_BINARY = {"type": "string", "format": "binary"}


def _body_schema(model: type[MediaRequest]) -> dict[str, Any]:
    """Return the OpenAPI description of both encodings of an upload, which FastAPI cannot derive because the route reads the request."""
    fields = model.model_json_schema()
    form = {**fields, "properties": {"file": _BINARY, **fields["properties"]}}
    base64 = {"type": "object", "required": ["data"], "properties": {"data": {"type": "string", "format": "byte"}}}
    body = {**fields, "properties": {"input_audio": base64, **fields["properties"]}}
    content = {
        "multipart/form-data": {"schema": {**form, "required": ["file", *fields.get("required", [])]}},
        "application/json": {"schema": {**body, "required": ["input_audio", *fields.get("required", [])]}},
    }
    return {"requestBody": {"required": True, "content": content}}


def _batch_schema() -> dict[str, Any]:
    fields = TranscriptionRequest.model_json_schema()
    form = {**fields, "properties": {"file": {"type": "array", "items": _BINARY, "maxItems": BATCH_FILES}, **fields["properties"]}}
    content = {"multipart/form-data": {"schema": {**form, "required": ["file", *fields.get("required", [])]}}}
    return {"requestBody": {"required": True, "content": content}}


_ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {
        "model": TranscriptionBody | VerboseBody | DiarizedBody,
        "content": {"text/plain": {}, sse.MEDIA_TYPE: {}},
        "description": "The text, in `response_format`. With `stream`: server-sent events.",
    }
}


@router.post("/transcriptions", openapi_extra=_body_schema(TranscriptionRequest), responses=_ANSWERS)
async def create_transcription(request: Request, recognition: RecognitionDep, pool: PoolDep, settings: SettingsDep) -> Response:
    """Transcribe the speech in a media file, in its own language."""
    async with AsyncExitStack() as stack:
        upload = await stack.enter_async_context(read_upload(request))
        body = validated(TranscriptionRequest, upload.fields)
        options = await recognition_request(body, pool, settings)
        if body.streams:
            writer = EventWriter(extras_of(body), speakers=body.diarizes, times=body.streamed_times)
            return await _streamed(request, _events(recognition.stream(upload.source, options), writer, stack.pop_all()))
        transcript = await while_connected(request.receive, recognition.transcribe(upload.source, options))
    return await _formatted(transcript, body)


@router.post("/transcriptions/verbose", openapi_extra=_body_schema(TranscriptionRequest), responses={200: {"model": VerboseBody}})
async def create_verbose_transcription(request: Request, recognition: RecognitionDep, pool: PoolDep, settings: SettingsDep) -> Response:
    """Transcribe as `verbose_json`, with segments, and with words if the model provides word timestamps."""
    async with read_upload(request) as upload:
        body = validated(TranscriptionRequest, {**upload.fields, "response_format": "verbose_json", "stream": None})
        if "timestamp_granularities" not in upload.fields and pool.registry.find(body.model, Task.STT).word_times:
            body = body.model_copy(update={"timestamp_granularities": ("segment", "word")})
        options = await recognition_request(body, pool, settings)
        transcript = await while_connected(request.receive, recognition.transcribe(upload.source, options))
    return await _formatted(transcript, body)


@router.post("/transcriptions/batch", openapi_extra=_batch_schema(), responses={200: {"model": BatchBody}})
async def create_transcriptions(request: Request, recognition: RecognitionDep, pool: PoolDep, settings: SettingsDep) -> Response:
    """Transcribe several files. A file that fails has an `error` in its place and does not affect the others."""
    async with read_uploads(request, BATCH_FILES) as (fields, files):
        body = validated(TranscriptionRequest, fields)
        options = await recognition_request(body, pool, settings)
        return JSONResponse(await while_connected(request.receive, _batch(recognition, options, body, files)))


@router.post("/translations", openapi_extra=_body_schema(TranslationRequest), responses=_ANSWERS)
async def create_translation(request: Request, recognition: RecognitionDep, pool: PoolDep, settings: SettingsDep) -> Response:
    """Translate the speech in a media file, in any language, into English text."""
    async with read_upload(request) as upload:
        body = validated(TranslationRequest, upload.fields)
        options = await recognition_request(body, pool, settings)
        transcript = await while_connected(request.receive, recognition.transcribe(upload.source, options))
    return await _formatted(transcript, body)


async def _events(
    begin: Awaitable[TranscriptionStream], writer: EventWriter, upload: AsyncExitStack
) -> AsyncGenerator[dict[str, Any], None]:
    """Yield the events of a transcription as it proceeds. `upload` keeps the source open and is closed at the end."""
    async with upload, aclosing(await begin) as transcription:
        async for segment in transcription:
            for event in writer.segment(segment):
                yield event
        yield writer.done(transcription.info)


def extras_of(body: TranscriptionRequest | TranslationRequest) -> Extras:
    """Return the options of a response besides its format."""
    if isinstance(body, TranscriptionRequest):
        return Extras(body.shape, logprobs=body.wants_logprobs, languages=body.wants_languages)
    return Extras(body.shape)


async def _streamed(request: Request, events: AsyncGenerator[dict[str, Any], None]) -> Response:
    """Return a stream of events. The response begins with the first event; an error before that has its own status."""
    stream = sse.stream(events)
    first = await while_connected(request.receive, anext(stream))
    return LiveResponse(resumed(first, stream), sse.MEDIA_TYPE)


async def _formatted(transcript: Transcript, body: TranscriptionRequest | TranslationRequest) -> Response:
    granularities = body.timestamp_granularities if isinstance(body, TranscriptionRequest) else ("segment",)
    if transcript.info.duration < LONG_S:
        return responses.answer(transcript, body.response_format, granularities, extras_of(body))
    return await asyncio.to_thread(responses.answer, transcript, body.response_format, granularities, extras_of(body))


async def _batch(recognition: Recognition, options: RecognitionRequest, body: TranscriptionRequest, files: list[Media]) -> dict[str, Any]:
    form = body.response_format
    if form not in ("json", "verbose_json", "diarized_json"):
        raise UnsupportedValue(f"A batch returns JSON: `response_format` cannot be `{form}`.", param="response_format")
    limit = asyncio.Semaphore(BATCH_AT_ONCE)

    async def item(index: int, file: Media) -> dict[str, Any]:
        head = {"index": index, "filename": file.filename}
        try:
            async with limit:
                transcript = await recognition.transcribe(file.source, options)
        except SpeechError as error:
            return head | envelope(error)
        return head | responses.body_of(transcript, form, body.timestamp_granularities, extras_of(body)).model_dump(exclude_none=True)

    async with asyncio.TaskGroup() as group:
        items = [group.create_task(item(index, file)) for index, file in enumerate(files)]
    return {"object": "list", "data": [item.result() for item in items]}
