"""The events of a translation session: the client's are parsed here, the server's are built here. Pure."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from typing import Any, Literal
from uuid import uuid4

from open_speech.api.realtime.client_messages import StrictEvent, parsed
from open_speech.api.realtime.events import failure
from open_speech.errors import SpeechError

RATE = 24_000
"""Sample rate of the audio in both directions, in Hertz: 16-bit PCM, mono."""


class SessionUpdate(StrictEvent):
    """`session.update`."""

    session: dict[str, Any]


class Append(StrictEvent):
    """`session.input_audio_buffer.append`; `audio` in base64, or decoded already."""

    audio: str | bytes


class CloseSession(StrictEvent):
    """`session.close`: translate what has been said, then end."""


ClientEvent = SessionUpdate | Append | CloseSession

_CLASSES: Mapping[str, type[ClientEvent]] = {
    "session.update": SessionUpdate,
    "session.input_audio_buffer.append": Append,
    "session.close": CloseSession,
}


def parse(body: Mapping[str, Any]) -> ClientEvent:
    """Validate one event. Raises subclasses of InvalidRequest that name the field."""
    return parsed(body, _CLASSES)


def event(kind: str, **fields: Any) -> dict[str, Any]:
    """Build an event of the server, with an id of its own."""
    return {"type": kind, "event_id": f"event_{uuid4().hex[:24]}", **fields}


def error(problem: SpeechError, event_id: str | None = None) -> dict[str, Any]:
    """Build an `error` event; `event_id` is that of the client's event."""
    return event("error", error=failure(problem, event_id)["error"])


def text_delta(direction: Literal["input", "output"], text: str, at_s: float) -> dict[str, Any]:
    """Build the next part of a transcript: of the speech, or of its translation. It is about the audio up to `at_s` seconds."""
    return event(f"session.{direction}_transcript.delta", delta=text, elapsed_ms=round(at_s * 1000))


def audio_delta(data: bytes, at_s: float) -> dict[str, Any]:
    """Build the next part of the translated speech; its source ended at `at_s` seconds of the incoming audio."""
    return event(
        "session.output_audio.delta", delta=b64encode(data).decode(), sample_rate=RATE, channels=1, format="pcm16",
        elapsed_ms=round(at_s * 1000),
    )  # fmt: skip
