"""POST /v1/speech-to-text: the transcript of an uploaded file."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from open_speech.api.gemmavoice.errors import ERRORS
from open_speech.api.gemmavoice.transcripts import (
    FIELDS,
    SpeechToTextRequest,
    TranscriptBody,
    transcript_body,
    transcription_request,
)
from open_speech.api.openai import responses
from open_speech.api.openai.recognition_request import recognition_request
from open_speech.api.openai.transcriptions import LONG_S
from open_speech.errors import InvalidAudio
from open_speech.http.dependencies import PoolDep, RecognitionDep, SettingsDep
from open_speech.http.disconnect import while_connected
from open_speech.http.uploads import read_upload
from open_speech.transcript import Transcript

router = APIRouter(tags=["gemmavoice"], responses=ERRORS)


def _form() -> dict[str, Any]:
    """Return the OpenAPI description of the form, which FastAPI cannot derive because the route reads the request."""
    described = SpeechToTextRequest.model_json_schema()["properties"]
    properties = {"file": {"type": "string", "format": "binary"}, **{name: described[name] for name in FIELDS}}
    schema = {"type": "object", "required": ["file"], "properties": properties}
    return {"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": schema}}}}


_ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {"model": TranscriptBody, "content": {"text/plain": {}}, "description": "The transcript, in `response_format`."}
}


@router.post("/v1/speech-to-text", openapi_extra=_form(), responses=_ANSWERS)
async def speech_to_text(request: Request, recognition: RecognitionDep, pool: PoolDep, settings: SettingsDep) -> Response:
    """Transcribe the speech in a media file. The formats `json` and `verbose_json` are the same."""
    async with read_upload(request) as upload:
        body = transcription_request(upload.fields)
        refuse_empty(upload.source)
        options = await recognition_request(body, pool, settings)
        transcript = await while_connected(request.receive, recognition.transcribe(upload.source, options))
    if transcript.info.duration < LONG_S:
        return _answer(transcript, body)
    return await asyncio.to_thread(_answer, transcript, body)


def refuse_empty(source: bytes | Path) -> None:
    """Raise InvalidAudio for a file without content; a path is that of a file that is too large for memory."""
    if source == b"":
        raise InvalidAudio("`file` is empty.", param="file")


def _answer(transcript: Transcript, body: SpeechToTextRequest) -> Response:
    if body.response_format in ("json", "verbose_json"):
        return Response(transcript_body(transcript).model_dump_json(), media_type=JSONResponse.media_type)
    return responses.answer(transcript, body.response_format)
