"""The events of a Realtime client: JSON to validated values. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field

from open_speech.api.realtime.checking import Value, checked
from open_speech.api.realtime.settings import Format, VoiceId
from open_speech.errors import InvalidRequest, InvalidValue, MissingField, SpeechError
from open_speech.http import base64_stream, json_screen
from open_speech.http.base64_stream import Base64Bytes

NAME_CHARS = 512
"""Maximum characters of an id that a client chooses."""
BOUNDS = json_screen.Bounds()
"""Limits on the JSON structure of one event; tools with their schemas have the most."""
LONG_MESSAGE = 1 << 16
"""The audio of messages with more characters is decoded while they are parsed."""
AUDIO_PATHS: tuple[json_screen.Path, ...] = (("audio",), ("item", "content", None, "audio"))
"""The fields of `input_audio_buffer.append` and `conversation.item.create` that contain audio."""
METADATA_PAIRS, KEY_CHARS, TEXT_CHARS = 16, 64, 512

Id = Annotated[str, Field(min_length=1, max_length=NAME_CHARS)]


class InvalidJson(InvalidRequest):
    """The message is not a JSON object."""

    code = "invalid_json"


class InvalidEvent(InvalidRequest):
    """The type of the event is unknown, or not accepted in this session."""

    code = "invalid_event"


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


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a client: a JSON object, or the error in it."""

    body: Mapping[str, Any]
    error: SpeechError | None = None


def parse_message(*parts: str) -> Message:
    """Parse one message, whole or in parts, and decode the audio of a long one.

    The largest message takes about 100 ms: call this off the event loop.
    """
    try:
        body, audio = _parse_long(parts) if sum(map(len, parts)) > LONG_MESSAGE else (read("".join(parts)), [])
    except SpeechError as error:
        return Message({}, error)
    holders = [part for part in (body, *_parts_of(body)) if part.get("audio") == ""] if audio else []
    if len(holders) != len(audio):
        return Message(body, InvalidJson("The event contains audio in an unexpected field, or more than once."))
    try:
        for holder, decoder in zip(holders, audio, strict=True):
            holder["audio"] = decoder.value()
    except ValueError:
        return Message(body, _not_base64("audio" if holder is body else "item.content"))
    return Message(body)


def _parse_long(parts: Sequence[str]) -> tuple[dict[str, Any], list[Base64Bytes]]:
    """Parse a long message without its audio, which is decoded in steps: `json.loads` would block every thread for 30 ms."""
    audio: list[Base64Bytes] = []

    def decoder() -> Base64Bytes:
        audio.append(Base64Bytes())
        return audio[-1]

    screen = json_screen.Screen(BOUNDS, dict.fromkeys(AUDIO_PATHS, decoder))
    texts = (text[at : at + json_screen.STEP] for text in parts for at in range(0, len(text), json_screen.STEP))
    steps = (text.encode(errors="surrogatepass") for text in texts)
    try:
        left = b"".join(map(screen.feed, steps))
    except InvalidRequest as problem:
        raise InvalidJson(problem.message) from None
    return read(left.decode(errors="surrogatepass")), audio


def _parts_of(body: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the content parts of the item that a message creates, in order."""
    item = body.get("item")
    content = item.get("content") if isinstance(item, dict) else None
    return [part for part in content if isinstance(part, dict)] if isinstance(content, list) else []


def read(text: str) -> dict[str, Any]:
    """Parse one message as JSON. Raises InvalidJson."""
    try:
        body = json_screen.loads(text, BOUNDS, parse_float=_finite, parse_constant=json_screen.refuse)
    except InvalidRequest as problem:
        raise InvalidJson(problem.message) from None
    except (ValueError, RecursionError):
        raise InvalidJson("The message is not valid JSON.") from None
    if not isinstance(body, dict):
        raise InvalidJson("The message must be a JSON object.")
    return body


def _finite(digits: str) -> float:
    """Parse a number. Raises ValueError for one that is too large, which could not be written as JSON again."""
    number = float(digits)
    if math.isinf(number):
        raise ValueError(digits)
    return number


def client_event_id(body: Mapping[str, Any]) -> str | None:
    """Return the id of a client's event, if it is valid: a string of at most NAME_CHARS characters."""
    event_id = body.get("event_id")
    return event_id if isinstance(event_id, str) and len(event_id) <= NAME_CHARS else None


def parse(body: Mapping[str, Any]) -> ClientEvent:
    """Validate one event. Raises subclasses of InvalidRequest that name the field."""
    if body.get("event_id") is not None and client_event_id(body) is None:
        raise InvalidValue(f"`event_id` must be a string of at most {NAME_CHARS} characters.", param="event_id")
    kind = body.get("type")
    if kind is None:
        raise MissingField("The event has no `type`.", param="type")
    if not isinstance(kind, str) or kind not in _CLASSES:
        raise InvalidEvent(f"`type` must be one of {', '.join(_CLASSES)}.", param="type")
    return checked(_CLASSES[kind], body)


def decoded(audio: str | bytes, width: int, param: str = "audio") -> bytes:
    """Decode base64 audio of `width` bytes per sample, unless that was done already. Raises InvalidValue naming `param`."""
    data = audio if isinstance(audio, bytes) else _from_base64(audio, param)
    if len(data) % width:
        raise InvalidValue("The audio ends in the middle of a sample.", param=param)
    return data


def _from_base64(audio: str, param: str) -> bytes:
    try:
        return base64_stream.decoded(audio)
    except ValueError:
        raise _not_base64(param) from None


def _not_base64(param: str) -> InvalidValue:
    return InvalidValue("The audio is not valid base64.", param=param)


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
