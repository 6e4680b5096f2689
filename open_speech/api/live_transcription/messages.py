"""What the two sides of a live transcription say to each other, in JSON: parsed here, written here. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from open_speech.errors import InvalidRequest, InvalidValue, MissingField, SpeechError, TextTooLong
from open_speech.http import json_screen
from open_speech.http.errors import envelope, validated
from open_speech.languages import requested_language
from open_speech.transcript import Transcript

MESSAGE_BYTES = 4096
"""A longer message in text is refused: the sound comes in binary ones."""
KEPT_DIGITS = 3
"""Decimals of times and of confidence."""


class Query(BaseModel):
    """How a client wants to be heard: the query of its URL. What is unknown is ignored."""

    model_config = ConfigDict(frozen=True)

    model: str = Field("whisper-1", max_length=200)
    language: str | None = Field(None, max_length=35)
    sample_rate: int = Field(16_000, ge=8000, le=192_000)
    """Hertz."""
    encoding: Literal["pcm_s16le"] = "pcm_s16le"
    interim_results: bool = True
    endpointing: int | None = Field(None, ge=100, le=10_000)
    """Milliseconds of silence that end an utterance; None takes the server's setting."""
    vad: bool | None = None
    """Whether utterances are told by silence; None takes the server's setting."""
    prompt: str | None = Field(None, max_length=2000)
    hotwords: str | None = Field(None, max_length=2000)


class Command(StrEnum):
    """What a client says besides sound."""

    STOP = "stop"
    """There is no more sound: write down what is there, then close."""
    FINALIZE = "finalize"
    """What was said so far is an utterance; do not wait for its silence."""
    KEEPALIVE = "keepalive"
    """The client is still there, though it sends no sound."""


def query(params: Mapping[str, str]) -> Query:
    """Read the query of the URL; an empty value counts as none. Raises InvalidRequest's children naming the parameter."""
    asked = validated(Query, {name: value for name, value in params.items() if value})
    return asked.model_copy(update={"language": requested_language(asked.language, "language")})


def parse(data: str) -> Command:
    """Read one message. Raises InvalidRequest's children naming the field."""
    if len(data) > MESSAGE_BYTES:
        raise TextTooLong(f"The message is longer than the limit of {MESSAGE_BYTES} bytes: send audio in binary messages.")
    try:
        body = json_screen.loads(data)
    except (ValueError, RecursionError):
        raise InvalidRequest("The message is not valid JSON.") from None
    if not isinstance(body, dict):
        raise InvalidRequest("The message must be a JSON object.")
    if (kind := body.get("type")) is None:
        raise MissingField("The message has no `type`.", param="type")
    if not isinstance(kind, str) or kind.lower() not in list(Command):
        raise InvalidValue(f"`type` must be one of {', '.join(Command)}.", param="type")
    return Command(kind.lower())


def begun(query: Query, *, session_id: str, model: str, vad: bool, endpointing_ms: int) -> dict[str, Any]:
    """Tell that sound may come, and how it will be heard: names resolved, defaults filled in."""
    return {
        "type": "session.begin", "session_id": session_id, "model": model, "language": query.language, "sample_rate": query.sample_rate,
        "encoding": query.encoding, "interim_results": query.interim_results, "vad": vad, "endpointing": endpointing_ms,
    }  # fmt: skip


def vad(state: Literal["speech_start", "speech_end"], at_s: float) -> dict[str, Any]:
    """Tell that somebody began to speak, or ended, and when: in seconds from the first sound."""
    return {"type": "vad", "state": state, "at": round(at_s, KEPT_DIGITS)}


def draft(text: str, start_s: float, end_s: float) -> dict[str, Any]:
    """Tell what is understood so far of an utterance that goes on; the next message about it takes its place."""
    return _transcript(text, start_s, end_s, None, is_final=False, speech_final=False)


def final(part: Transcript, offset_s: float, *, speech_final: bool) -> dict[str, Any]:
    """Tell text that will not change. `speech_final`: the utterance ends with it. The part's times count from `offset_s`."""
    start, end = (part.segments[0].start, part.segments[-1].end) if part.segments else (0.0, 0.0)
    told = _transcript(part.text, start + offset_s, end + offset_s, confidence(part), is_final=True, speech_final=speech_final)
    return {**told, "language": part.info.language or None}


def ended(seconds: float) -> dict[str, Any]:
    """Tell that all of the sound is written down."""
    return {"type": "session.end", "duration": round(seconds, KEPT_DIGITS)}


def failure(error: SpeechError) -> dict[str, Any]:
    """Tell what went wrong, in the envelope of every other door."""
    return {"type": "error", **envelope(error)}


def confidence(part: Transcript) -> float | None:
    """Find how probable the recogniser thought its words, or else its tokens, on average, in [0, 1]; None where it does not tell."""
    if part.words and any(word.probability < 1 for word in part.words):
        return round(sum(word.probability for word in part.words) / len(part.words), KEPT_DIGITS)
    told = [(segment.avg_logprob, len(segment.text)) for segment in part.segments if segment.avg_logprob < 0]
    if not told:
        return None
    return round(math.exp(sum(logprob * weight for logprob, weight in told) / max(1, sum(weight for _, weight in told))), KEPT_DIGITS)


def _transcript(  # noqa: PLR0913 - the fields of one message
    text: str, start_s: float, end_s: float, confidence: float | None, *, is_final: bool, speech_final: bool
) -> dict[str, Any]:
    return {
        "type": "transcript", "is_final": is_final, "speech_final": speech_final, "text": text, "start": round(start_s, KEPT_DIGITS),
        "end": round(end_s, KEPT_DIGITS), "confidence": confidence,
    }  # fmt: skip
