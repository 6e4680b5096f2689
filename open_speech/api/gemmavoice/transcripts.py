"""The fields of a transcription in GemmaVoice's API, and the transcript that it returns. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel

from open_speech.api.openai.schemas import AnyCase, TranscriptFormat
from open_speech.api.openai.transcription_request import TranscriptionRequest
from open_speech.http.errors import validated
from open_speech.transcript import Transcript

FIELDS = ("language", "prompt", "response_format", "temperature")
"""The fields that are read. Others are ignored, such as `model_id` of ElevenLabs' API, which has the same path."""


class SpeechToTextRequest(TranscriptionRequest):
    """Fields of `POST /v1/speech-to-text`, which mean what they do in OpenAI's API."""

    response_format: Annotated[TranscriptFormat, AnyCase] = "verbose_json"


class SegmentBody(BaseModel):
    """One segment, with times in seconds."""

    id: int
    start: float
    end: float
    text: str


class TranscriptBody(BaseModel):
    """Response of `POST /v1/speech-to-text` in `json` and `verbose_json`."""

    text: str
    language: str | None
    """ISO-639-1 code; null if it is unknown because there is no speech."""
    segments: tuple[SegmentBody, ...]


def transcription_request(fields: Mapping[str, Any]) -> SpeechToTextRequest:
    """Validate the fields of a request; a field that is null counts as omitted. Raises subclasses of InvalidRequest naming the field."""
    return validated(SpeechToTextRequest, {name: fields[name] for name in FIELDS if fields.get(name) is not None})


def transcript_body(transcript: Transcript) -> TranscriptBody:
    """Return a transcript in GemmaVoice's format."""
    segments = (
        SegmentBody(id=number, start=round(segment.start, 3), end=round(segment.end, 3), text=segment.text.strip())
        for number, segment in enumerate(transcript.segments)
    )
    return TranscriptBody(text=transcript.text, language=transcript.info.language or None, segments=tuple(segments))
