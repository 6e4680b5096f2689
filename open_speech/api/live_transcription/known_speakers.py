"""The message `known_speakers` of a live transcription: names and reference recordings of speakers, as in a request with a file."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from open_speech.api.openai.known_speakers import diarization
from open_speech.api.openai.transcription_request import SpeakerFields
from open_speech.errors import InvalidRequest, TextTooLong, UnsupportedValue
from open_speech.http import json_screen
from open_speech.http.errors import validated
from open_speech.recognition.live.speaker_tracker import SpeakerTracker

KIND = "known_speakers"
MESSAGE_BYTES = 4 << 20
"""Maximum characters of the message."""


class _Fields(BaseModel):
    known_speaker_names: list[str]
    known_speaker_references: list[str]


def parse(data: str) -> dict[str, Any] | None:
    """Return the message if it is one of known speakers, else None. Raises TextTooLong."""
    if f'"{KIND}"' not in data[:200]:
        return None
    if len(data) > MESSAGE_BYTES:
        raise TextTooLong(f"The message is longer than the limit of {MESSAGE_BYTES} bytes.", param="known_speaker_references")
    try:
        body = json_screen.loads(data)
    except (ValueError, RecursionError):
        raise InvalidRequest("The message is not valid JSON.") from None
    return body if isinstance(body, dict) and body.get("type") == KIND else None


async def enroll(body: dict[str, Any], tracker: SpeakerTracker | None) -> dict[str, Any]:
    """Add the speakers of a message to a session; return the message that confirms it.

    Raises UnsupportedValue without a tracker, InvalidValue and MissingField that name the field, and what the runner raises.
    """
    if tracker is None:
        raise UnsupportedValue("Known speakers require a session with `diarize=true`.", param="diarize")
    given = validated(_Fields, body)
    fields = validated(SpeakerFields, {**given.model_dump(), "diarize": True})
    how = await diarization(fields)
    assert how is not None
    await tracker.enroll(how.references)
    return {"type": KIND, "names": [name for name, _ in how.references]}
