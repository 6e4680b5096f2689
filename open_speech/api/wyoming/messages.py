"""The events of a Wyoming client: the protocol library's own event classes, with every field validated, which the library omits. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import TypeAdapter, ValidationError
from wyoming.asr import Transcribe
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.error import Error
from wyoming.event import Event
from wyoming.info import Describe, SelectProgram
from wyoming.ping import Ping
from wyoming.tts import Synthesize, SynthesizeChunk, SynthesizeStart, SynthesizeStop

from open_speech.errors import SpeechError
from open_speech.http.errors import from_validation

ClientEvent = (
    Describe | SelectProgram | Ping
    | Transcribe | AudioStart | AudioChunk | AudioStop
    | Synthesize | SynthesizeStart | SynthesizeChunk | SynthesizeStop
)  # fmt: skip

_TYPES: Mapping[str, TypeAdapter[Any]] = {
    "describe": TypeAdapter(Describe),
    "select-program": TypeAdapter(SelectProgram),
    "ping": TypeAdapter(Ping),
    "transcribe": TypeAdapter(Transcribe),
    "audio-start": TypeAdapter(AudioStart),
    "audio-chunk": TypeAdapter(AudioChunk),
    "audio-stop": TypeAdapter(AudioStop),
    "synthesize": TypeAdapter(Synthesize),
    "synthesize-start": TypeAdapter(SynthesizeStart),
    "synthesize-chunk": TypeAdapter(SynthesizeChunk),
    "synthesize-stop": TypeAdapter(SynthesizeStop),
}


def parse(event: Event) -> ClientEvent | None:
    """Parse an event; None for one that is not for a speech server, which the protocol says to ignore.

    Raises subclasses of InvalidRequest that name the field. Unknown fields are ignored.
    """
    shape = _TYPES.get(event.type)
    if shape is None:
        return None
    fields = {**event.data, "audio": event.payload or b""} if event.type == "audio-chunk" else event.data
    try:
        parsed: ClientEvent = shape.validate_python(fields)
    except ValidationError as invalid:
        raise from_validation(invalid.errors(include_url=False, include_input=False)) from None
    return parsed


def failure(error: SpeechError) -> Event:
    """Build an error event, with the name of the invalid field where there is one."""
    text = f"{error.param}: {error.message}" if error.param else error.message
    return Error(text=text, code=error.code or error.type).event()
