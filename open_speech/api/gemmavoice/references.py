"""POST /v1/encode-reference: a recording as base64, for the field `references` of `POST /v1/text-to-speech`."""

from __future__ import annotations

import asyncio
import base64

from fastapi import APIRouter, Request
from pydantic import BaseModel

from open_speech.api.gemmavoice.errors import ERRORS
from open_speech.api.gemmavoice.speech_to_text import refuse_empty
from open_speech.errors import MissingField
from open_speech.http.uploads import form_schema, read_sample
from open_speech.voices import SAMPLE_BYTES, sample_of

router = APIRouter(tags=["gemmavoice"], responses=ERRORS)


class _NoFields(BaseModel):
    """The form has no fields besides the file."""


class ReferenceBody(BaseModel):
    """Response of `POST /v1/encode-reference`."""

    reference_base64: str


@router.post("/v1/encode-reference", openapi_extra=form_schema(_NoFields, "file"))
async def encode_reference(request: Request) -> ReferenceBody:
    """Return an uploaded recording as base64 if a voice can be cloned from it: 1 to 60 seconds, 10 MiB, any format that can be decoded."""
    _, recording = await read_sample(request, "file", max_bytes=SAMPLE_BYTES)
    if recording is None:
        raise MissingField("The required parameter `file` is missing.", param="file")
    refuse_empty(recording)
    return ReferenceBody(reference_base64=await asyncio.to_thread(_encoded, recording))


def _encoded(recording: bytes) -> str:
    sample_of(recording, "file")  # an error now, and not with the first speech
    return base64.b64encode(recording).decode()
