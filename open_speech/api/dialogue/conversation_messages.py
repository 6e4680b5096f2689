"""The messages of `/v1/conversation/ws`. Pure."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AliasChoices, BaseModel, BeforeValidator, ConfigDict, Field

from open_speech.api.dialogue.turn_parameters import DialogueFields
from open_speech.api.gemmavoice.errors import detail_of
from open_speech.errors import InvalidValue, MissingField, SpeechError
from open_speech.http.errors import validated
from open_speech.transcript import Transcript

TEXT_CHARS = 65_536


class Config(DialogueFields):
    """The parameters of the turns that follow."""

    turn_mode: Literal["auto", "utterance", "chunks"] = Field(
        "auto",
        description="`utterance`: each audio message is a turn. `chunks`: a turn ends with `end_turn`. `auto`: or if nothing follows.",
    )
    input_format: Literal["file", "pcm"] = "file"
    """`pcm`: 16-bit little-endian mono samples without a header, at `input_sample_rate` Hertz."""
    input_sample_rate: int = Field(16_000, ge=8000, le=48_000)


def _decoded(value: object) -> object:
    if not isinstance(value, str):
        return value
    payload = value.partition(",")[2] if value.startswith("data:") else value
    try:
        return base64.b64decode(payload, validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("it is not base64") from None


class Audio(BaseModel):
    """Audio in base64: a whole utterance, or a chunk of one."""

    model_config = ConfigDict(frozen=True)

    data: Annotated[bytes, BeforeValidator(_decoded)] = Field(validation_alias=AliasChoices("data", "audio", "audio_base64"))
    end_turn: bool = False


class Text(BaseModel):
    """A turn of the user in text."""

    model_config = ConfigDict(frozen=True)

    content: str = Field(validation_alias=AliasChoices("content", "text", "data"), min_length=1, max_length=TEXT_CHARS)


class EndTurn(BaseModel):
    """The end of the user's turn."""


class Clear(BaseModel):
    """Drop the audio of a turn that is not complete."""


class Cancel(BaseModel):
    """End the answer in progress."""


ClientMessage = Config | Audio | Text | EndTurn | Clear | Cancel
_CLASSES: Mapping[str, type[ClientMessage]] = {
    "config": Config, "audio": Audio, "text": Text, "end_turn": EndTurn, "clear": Clear, "cancel": Cancel,
}  # fmt: skip


def parse(body: Mapping[str, Any]) -> ClientMessage:
    """Parse one message. Raises subclasses of InvalidRequest that name the field."""
    kind = body.get("type")
    if kind is None:
        raise MissingField("The message has no `type`.", param="type")
    if not isinstance(kind, str) or kind not in _CLASSES:
        raise InvalidValue(f"`type` must be one of {', '.join(_CLASSES)}.", param="type")
    return validated(_CLASSES[kind], body)


class ServerMessages:
    """The messages of the server about a turn."""

    def heard(self, transcript: Transcript) -> list[dict[str, Any]]:
        """Build the message with what the user said."""
        return [{"type": "transcript", "role": "user", "content": transcript.text}]

    def delta(self, text: str) -> dict[str, Any]:
        """Build the message with a part of the answer."""
        return {"type": "text_delta", "role": "assistant", "content": text}

    def text(self, text: str) -> dict[str, Any]:
        """Build the message with the whole text of the answer."""
        return {"type": "text", "role": "assistant", "content": text}

    def audio(self, data: str) -> dict[str, Any]:
        """Build the message with audio in base64."""
        return {"type": "audio", "data": data}


def failure(error: SpeechError) -> dict[str, Any]:
    """Return the message that reports an error."""
    return {"type": "error", "message": detail_of(error), "code": error.code}
