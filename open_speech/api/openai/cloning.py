"""POST /v1/audio/speech/clone: speech in the voice of an uploaded or a stored recording."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from fastapi import APIRouter, Request
from pydantic import Field
from starlette.responses import Response

from open_speech.api.openai import speech
from open_speech.api.openai.schemas import ERRORS, SpeechRequest
from open_speech.api.openai.voice_options import voice_options_of
from open_speech.errors import InvalidValue, MissingField, UnknownVoice
from open_speech.http.dependencies import EngineDep, SettingsDep
from open_speech.http.errors import validated
from open_speech.http.uploads import form_schema, read_sample
from open_speech.voices import SAMPLE_BYTES

router = APIRouter(prefix="/v1/audio", tags=["speak"], responses=ERRORS)
_STORED = "voice_library_ref"


class CloneRequest(SpeechRequest):
    """Fields of `POST /v1/audio/speech/clone`, besides the file `reference_audio`."""

    voice: str | None = Field(None, description="Ignored: the recording is the voice.")
    transcript: str | None = Field(None, max_length=4096, description="The same as `reference_text`.")
    voice_library_ref: str | None = Field(None, description="Id or name of a stored voice, in place of `reference_audio`.")


@router.post(
    "/speech/clone",
    responses=speech.ANSWERS,
    response_class=Response,
    openapi_extra=form_schema(CloneRequest, "reference_audio", required=False),
)
async def clone_speech(request: Request, engine: EngineDep, settings: SettingsDep) -> Response:
    """Synthesize speech in the voice of `reference_audio` (1 to 60 seconds, any format) or of `voice_library_ref`."""
    fields, file = await read_sample(request, "reference_audio", max_bytes=SAMPLE_BYTES)
    body = validated(CloneRequest, fields)
    recorded = file is not None or body.reference_audio is not None
    if recorded == (body.voice_library_ref is not None):
        if recorded:
            raise InvalidValue(f"Send `reference_audio` or `{_STORED}`, not both.", param=_STORED)
        raise MissingField(f"The voice to clone is missing: send `reference_audio` or `{_STORED}`.", param="reference_audio")
    transcript = body.reference_text or body.transcript
    voice_options = await voice_options_of(body.model_copy(update={"reference_text": transcript if recorded else None}), file)
    # Only a client that asks for it gets another voice here: the recording is the whole purpose of the request.
    voice_options = replace(voice_options, lenient=bool(body.ignore_unsupported))
    if body.voice_library_ref is not None:
        stored = await asyncio.to_thread(engine.voices.reference, body.voice_library_ref, _STORED)
        if stored is None:
            raise UnknownVoice(f"There is no stored voice `{body.voice_library_ref[:64]}`.", param=_STORED)
        voice_options = replace(voice_options, reference=replace(stored, text=transcript or stored.text), field=_STORED)
    return await speech.synthesize(body, voice_options, request, engine, settings)
