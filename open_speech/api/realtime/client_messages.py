"""The messages of a client, in every API with JSON events: JSON within limits, the audio in it, and the checks that all events share. Pure.

Realtime sessions, translation sessions and Live sessions differ in their events, and share what is here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from open_speech.api.realtime.checking import StrictValue, Value, checked
from open_speech.errors import InvalidRequest, InvalidValue, MissingField, SpeechError
from open_speech.http import base64_stream, json_screen
from open_speech.http.base64_stream import Base64Bytes

E = TypeVar("E", bound=Value)

NAME_CHARS = 512
"""Maximum characters of an id that a client chooses."""
BOUNDS = json_screen.Bounds()
"""Limits on the JSON structure of one event; tools with their schemas have the most."""
LONG_MESSAGE = 1 << 16
"""The audio of messages with more characters is decoded while they are parsed."""
AUDIO_PATHS: tuple[json_screen.Path, ...] = (("audio",), ("item", "content", None, "audio"))
"""The fields of `input_audio_buffer.append` and `conversation.item.create` that contain audio."""


class InvalidJson(InvalidRequest):
    """The message is not a JSON object."""

    code = "invalid_json"


class InvalidEvent(InvalidRequest):
    """The type of the event is unknown, or not accepted in this session."""

    code = "invalid_event"


class StrictEvent(StrictValue):
    """What events without unknown fields have in common."""

    type: str
    event_id: str | None = None


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


def parsed(body: Mapping[str, Any], classes: Mapping[str, type[E]]) -> E:
    """Validate one event by its type. Raises subclasses of InvalidRequest that name the field."""
    if body.get("event_id") is not None and client_event_id(body) is None:
        raise InvalidValue(f"`event_id` must be a string of at most {NAME_CHARS} characters.", param="event_id")
    kind = body.get("type")
    if kind is None:
        raise MissingField("The event has no `type`.", param="type")
    if not isinstance(kind, str) or kind not in classes:
        raise InvalidEvent(f"`type` must be one of {', '.join(classes)}.", param="type")
    return checked(classes[kind], body)


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
