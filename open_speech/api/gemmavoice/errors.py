"""Errors in the format of GemmaVoice: `{"detail": "…"}`. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from open_speech.errors import SpeechError, WrongKey
from open_speech.http.errors import ErrorFormat, encodable

WRONG_KEY = 403
"""Status for a wrong API key; a missing one has 401 as in other APIs."""
_NAMES = {"input": "text", "voice": "reference_id", "reference_audio": "references"}
"""Field of other APIs that an error names -> the field of this API."""


class DetailBody(BaseModel):
    """The error response of every endpoint."""

    detail: str


ERRORS: dict[int | str, dict[str, Any]] = {"default": {"model": DetailBody, "description": "An error, in GemmaVoice's format."}}
"""Value for the `responses` of a router."""


def detail_of(error: SpeechError) -> str:
    """Return the message of an error, with the field at fault."""
    message = encodable(error.message)
    field = None if error.param is None else encodable(_NAMES.get(error.param, error.param))
    return message if field is None or f"`{field}`" in message else f"{message} (field `{field}`)"


def response_of(error: SpeechError) -> tuple[int, Mapping[str, Any]]:
    """Return the status and the body of an error response."""
    return WRONG_KEY if isinstance(error, WrongKey) else error.status, {"detail": detail_of(error)}


def event_of(error: SpeechError) -> dict[str, Any]:
    """Return the message that reports an error on a WebSocket."""
    return {"event": "error", "detail": detail_of(error)}


FOLDERS = ("/v1/dialogue/", "/v1/conversation/", "/v1/livekit/")
"""Beginnings of paths whose errors have this format."""
PATHS = (
    "/v1/speech-to-text", "/v1/speech-to-text/ws", "/v1/speech-to-text/stream", "/ws/stt",
    "/v1/text-to-speech", "/v1/text-to-speech/ws", "/ws/tts", "/v1/encode-reference",
    "/v1/dialogue", "/v1/generate", "/v1/generate_stream", "/v1/generate_ws",
    "/health/llm", "/health/stt", "/health/tts", "/health/ready", "/health/live",
)  # fmt: skip
"""Paths whose errors have this format."""
FORMATS: Mapping[str, ErrorFormat] = dict.fromkeys((*PATHS, *FOLDERS), response_of)
