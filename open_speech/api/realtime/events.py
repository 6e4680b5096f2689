"""The events of a Realtime client: JSON to validated values. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from open_speech.api.realtime.checking import Value
from open_speech.api.realtime.client_messages import NAME_CHARS, parsed
from open_speech.api.realtime.settings import Format, VoiceId
from open_speech.errors import SpeechError

METADATA_PAIRS, KEY_CHARS, TEXT_CHARS = 16, 64, 512

Id = Annotated[str, Field(min_length=1, max_length=NAME_CHARS)]


class SessionUpdate(Value):
    """`session.update`."""

    session: dict[str, Any]


class Append(Value):
    """`input_audio_buffer.append`; `audio` in base64, or decoded already."""

    audio: str | bytes


class CommitBuffer(Value):
    """`input_audio_buffer.commit`."""


class ClearBuffer(Value):
    """`input_audio_buffer.clear`."""


class ClearOutput(Value):
    """`output_audio_buffer.clear`."""


class CreateItem(Value):
    """`conversation.item.create`: at the end without `previous_item_id`, at the front if that is `root`."""

    item: dict[str, Any]
    previous_item_id: Id | None = None


class RetrieveItem(Value):
    """`conversation.item.retrieve`."""

    item_id: Id


class DeleteItem(Value):
    """`conversation.item.delete`."""

    item_id: Id


class TruncateItem(Value):
    """`conversation.item.truncate`."""

    item_id: Id
    content_index: int = Field(0, ge=0)
    audio_end_ms: int = Field(ge=0)


class CancelResponse(Value):
    """`response.cancel`."""

    response_id: Id | None = None


class CreateResponse(Value):
    """`response.create`."""

    response: dict[str, Any] | None = None


ClientEvent = (
    SessionUpdate | Append | CommitBuffer | ClearBuffer | ClearOutput | CreateItem | RetrieveItem | DeleteItem | TruncateItem
    | CancelResponse | CreateResponse
)  # fmt: skip

_CLASSES: Mapping[str, type[ClientEvent]] = {
    "session.update": SessionUpdate,
    "input_audio_buffer.append": Append,
    "input_audio_buffer.commit": CommitBuffer,
    "input_audio_buffer.clear": ClearBuffer,
    "output_audio_buffer.clear": ClearOutput,
    "conversation.item.create": CreateItem,
    "conversation.item.retrieve": RetrieveItem,
    "conversation.item.delete": DeleteItem,
    "conversation.item.truncate": TruncateItem,
    "response.create": CreateResponse,
    "response.cancel": CancelResponse,
}


def parse(body: Mapping[str, Any]) -> ClientEvent:
    """Validate one event. Raises subclasses of InvalidRequest that name the field."""
    return parsed(body, _CLASSES)


class AudioOutput(Value):
    """The audio options of one response."""

    format: Format | None = None
    voice: str | VoiceId | None = None


class AudioParams(Value):
    """The object that contains the audio options."""

    output: AudioOutput | None = None


class ResponseParams(Value):
    """The options of a `response.create`, which override the session for one response."""

    output_modalities: list[Literal["text", "audio"]] | None = Field(None, min_length=1, max_length=2)
    instructions: str | None = None
    input: list[dict[str, Any]] | None = None
    conversation: str | None = None
    metadata: dict[Annotated[str, Field(max_length=KEY_CHARS)], Annotated[str, Field(max_length=TEXT_CHARS)]] | None = Field(
        None, max_length=METADATA_PAIRS
    )
    audio: AudioParams | None = None
    tools: list[dict[str, Any]] | None = None
    tool_choice: str | dict[str, Any] | None = None
    max_output_tokens: Annotated[int, Field(ge=1)] | Literal["inf"] | None = None
    parallel_tool_calls: bool | None = None
    temperature: float | None = Field(None, ge=0, le=2)


def error_body(error: SpeechError) -> dict[str, Any]:
    """Build the object for an error that events contain."""
    return {"type": error.type, "code": error.code, "message": error.message, "param": error.param}


def failure(error: SpeechError, event_id: str | None = None) -> dict[str, Any]:
    """Build an `error` event, with the id of the client's event; the session continues."""
    return {"type": "error", "error": {**error_body(error), "event_id": event_id}}
