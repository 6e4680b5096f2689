"""What the two sides of a live speech say to each other, in JSON: parsed here, written here. Pure."""

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
"""A longer message is refused: text comes in pieces."""


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True)


class Config(_Message):
    """How to speak, and in what form the sound is to come. What is unknown is ignored."""

    model: str = Field("tts-1", max_length=200)
    voice: str | None = Field(None, max_length=500)
    speed: float | None = Field(None, ge=0.25, le=4)
    language: str | None = Field(None, max_length=35)
    response_format: Annotated[AudioFormat, BeforeValidator(lower)] = "pcm"
    sample_rate: int | None = Field(None, ge=8000, le=48_000)
    """Hertz; None is 24 000 for `pcm`, and the voice's own for the other formats."""
    encoding: Literal["binary", "base64"] = "binary"


class Text(_Message):
    """A piece of text, cut anywhere."""

    text: str


class Flush(_Message):
    """Speak what is there: what follows is a text of its own."""


class Cancel(_Message):
    """Be silent: drop all text that is not yet spoken, and all sound that is not yet sent."""


class End(_Message):
    """Speak what is there, then close."""


ClientMessage = Config | Text | Flush | Cancel | End
_CLASSES: Mapping[str, type[ClientMessage]] = {"config": Config, "text": Text, "flush": Flush, "cancel": Cancel, "end": End}


def parse(data: str) -> ClientMessage:
    """Read one message. Raises InvalidRequest's children naming the field, or TextTooLong for more than MESSAGE_BYTES."""
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
    """Tell how it will be spoken: names resolved, `sample_rate` in Hertz, None where the sound itself says it."""
    return {
        "type": "ready", "model": model, "voice": voice, "response_format": config.response_format, "sample_rate": sample_rate,
        "encoding": config.encoding,
    }  # fmt: skip


def sentence(text: str, start: float) -> dict[str, Any]:
    """Tell what is spoken in the sound that follows; `start` in seconds of sound since the last `ready`, `flushed` or `cancelled`."""
    return {"type": "sentence", "text": text, "start": round(start, 3)}


def mark(name: str, start: float) -> dict[str, Any]:
    """Tell where a mark of the text is, in seconds as for `sentence`."""
    return {"type": "mark", "name": name, "start": round(start, 3)}


def audio(data: bytes) -> dict[str, Any]:
    """Carry sound in JSON, for a client that cannot take binary messages."""
    return {"type": "audio", "audio": base64.b64encode(data).decode()}


def failure(error: SpeechError) -> dict[str, Any]:
    """Tell what went wrong, in the envelope of every other door."""
    return {"type": "error", **envelope(error)}
