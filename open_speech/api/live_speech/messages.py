"""The JSON messages of live speech: the client's are parsed here, the server's are built here. Pure."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from open_speech.config.types import AudioFormat, lower
from open_speech.errors import InvalidRequest, InvalidValue, MissingField, SpeechError, TextTooLong
from open_speech.http import json_screen
from open_speech.http.errors import envelope, validated

MESSAGE_BYTES = 65_536
"""Maximum bytes of a message; longer text must be sent in pieces."""


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True)


class Config(_Message):
    """The voice, and the format of the audio. Unknown fields are ignored."""

    model: str = Field("tts-1", max_length=200)
    voice: str | None = Field(None, max_length=500)
    speed: float | None = Field(None, ge=0.25, le=4)
    language: str | None = Field(None, max_length=35)
    response_format: Annotated[AudioFormat, BeforeValidator(lower)] = "pcm"
    sample_rate: int | None = Field(None, ge=8000, le=48_000)
    """Hertz; None means 24 000 for `pcm`, and the model's own rate for the other formats."""
    encoding: Literal["binary", "base64"] = "binary"


class Text(_Message):
    """A piece of text, split anywhere."""

    text: str


class Flush(_Message):
    """Speak the text so far; the text after it is a separate utterance."""


class Cancel(_Message):
    """Stop speaking: drop all text that is not spoken yet, and all audio that is not sent yet."""


class End(_Message):
    """Speak the text so far, then close the connection."""


ClientMessage = Config | Text | Flush | Cancel | End
_CLASSES: Mapping[str, type[ClientMessage]] = {"config": Config, "text": Text, "flush": Flush, "cancel": Cancel, "end": End}


def parse(data: str) -> ClientMessage:
    """Parse one message. Raises subclasses of InvalidRequest that name the field, or TextTooLong for more than MESSAGE_BYTES."""
    if len(data) > MESSAGE_BYTES or len(data.encode("utf-8", "replace")) > MESSAGE_BYTES:
        raise TextTooLong(f"The message is longer than the limit of {MESSAGE_BYTES} bytes.", param="text")
    try:
        body = json_screen.loads(data)
    except (ValueError, RecursionError):
        raise InvalidRequest("The message is not valid JSON.") from None
    if not isinstance(body, dict):
        raise InvalidRequest("The message must be a JSON object.")
    kind = body.get("type")
    if kind is None:
        raise MissingField("The message has no `type`.", param="type")
    if not isinstance(kind, str) or kind not in _CLASSES:
        raise InvalidValue(f"`type` must be one of {', '.join(_CLASSES)}.", param="type")
    return validated(_CLASSES[kind], body)


def ready(config: Config, *, model: str, voice: str, sample_rate: int | None) -> dict[str, Any]:
    """Build the response to a config: names resolved, `sample_rate` in Hertz, None where the audio itself contains it."""
    return {
        "type": "ready", "model": model, "voice": voice, "response_format": config.response_format, "sample_rate": sample_rate,
        "encoding": config.encoding,
    }  # fmt: skip


def sentence(text: str, start: float) -> dict[str, Any]:
    """Announce the sentence in the audio that follows; `start` in seconds of audio since the last `ready`, `flushed` or `cancelled`."""
    return {"type": "sentence", "text": text, "start": round(start, 3)}


def mark(name: str, start: float) -> dict[str, Any]:
    """Report the position of a mark in the text, in seconds as for `sentence`."""
    return {"type": "mark", "name": name, "start": round(start, 3)}


def audio(data: bytes) -> dict[str, Any]:
    """Wrap audio in JSON, for a client that cannot receive binary messages."""
    return {"type": "audio", "audio": base64.b64encode(data).decode()}


def failure(error: SpeechError) -> dict[str, Any]:
    """Build an error message, in the same envelope as the other APIs."""
    return {"type": "error", **envelope(error)}
