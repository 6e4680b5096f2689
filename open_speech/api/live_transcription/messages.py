"""The JSON messages of a live transcription: the client's are parsed here, the server's are built here. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from enum import StrEnum
from itertools import groupby
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from open_speech.errors import InvalidRequest, InvalidValue, MissingField, SpeechError, TextTooLong
from open_speech.http import json_screen
from open_speech.http.errors import envelope, validated
from open_speech.languages import requested_language
from open_speech.recognition.live.speakers import MOST_SPEAKERS
from open_speech.recognition.live.turn_detection import Eagerness
from open_speech.transcript import Transcript

MESSAGE_BYTES = 4096
"""Maximum characters of a text message; audio is sent in binary messages."""
DECIMALS = 3
"""Decimals of times and of confidence."""


class Query(BaseModel):
    """The options of a client, from the query of its URL. Unweighted parameters are ignored."""

    model_config = ConfigDict(frozen=True)

    model: str = Field("whisper-1", max_length=200)
    language: str | None = Field(None, max_length=35)
    sample_rate: int = Field(16_000, ge=8000, le=192_000)
    """Hertz."""
    encoding: Literal["pcm_s16le"] = "pcm_s16le"
    interim_results: bool = True
    endpointing: int | None = Field(None, ge=100, le=10_000)
    """Milliseconds of silence that end an utterance; None means the server's setting."""
    vad: bool | None = None
    """Whether utterances are detected by voice activity; None means the server's setting."""
    turn_detection: Literal["timer", "semantic"] | None = None
    """Whether utterances end after a silence, or when the speaker has finished by meaning; None means the silence."""
    eagerness: Eagerness = "auto"
    """How soon a semantic utterance ends that is not complete."""
    prompt: str | None = Field(None, max_length=2000)
    hotwords: str | None = Field(None, max_length=2000)
    diarize: bool = False
    """Whether each final transcript has its speaker."""
    max_speakers: int | None = Field(None, ge=1, le=MOST_SPEAKERS)
    """Maximum number of speakers; None means MOST_SPEAKERS."""
    resumable: bool = False
    """Whether the client is sent how much of its audio is final, so that it can send the rest again after a disconnect."""


class Command(StrEnum):
    """A message of the client other than audio."""

    STOP = "stop"
    """The audio is complete: transcribe the rest, then close the connection."""
    FINALIZE = "finalize"
    """End the utterance now, without waiting for silence."""
    KEEPALIVE = "keepalive"
    """Keep the connection open while no audio is sent."""


def query(params: Mapping[str, str]) -> Query:
    """Parse the query of the URL; an empty value counts as omitted. Raises subclasses of InvalidRequest that name the parameter."""
    parsed = validated(Query, {name: value for name, value in params.items() if value})
    return parsed.model_copy(update={"language": requested_language(parsed.language, "language")})


def parse(data: str) -> Command:
    """Parse one message. Raises subclasses of InvalidRequest that name the field."""
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


def session_begin(  # noqa: PLR0913 - the options that are resolved or filled in
    query: Query, *, session_id: str, model: str, vad: bool, endpointing_ms: int, is_semantic: bool = False
) -> dict[str, Any]:
    """Build the first message: the session accepts audio. It contains the options with names resolved and defaults filled in.

    `is_semantic`: turns are detected by meaning. A client that has asked for it learns whether the server can.
    """
    turns = {"turn_detection": "semantic", "eagerness": query.eagerness} if is_semantic else {"turn_detection": "timer"}
    return {
        "type": "session.begin", "session_id": session_id, "model": model, "language": query.language, "sample_rate": query.sample_rate,
        "encoding": query.encoding, "interim_results": query.interim_results, "vad": vad, "endpointing": endpointing_ms,
        **({"resumable": True} if query.resumable else {}), **({"diarize": True} if query.diarize else {}),
        **(turns if query.turn_detection else {}),
    }  # fmt: skip


def vad(state: Literal["speech_start", "speech_end"], at_s: float) -> dict[str, Any]:
    """Report the start or the end of speech, at `at_s` seconds after the first audio."""
    return {"type": "vad", "state": state, "at": round(at_s, DECIMALS)}


def draft(text: str, start_s: float, end_s: float) -> dict[str, Any]:
    """Build the interim transcript of an utterance in progress; the next message about the utterance replaces it."""
    return _transcript(text, start_s, end_s, None, is_final=False, speech_final=False)


def final(part: Transcript, offset_s: float, *, speech_final: bool) -> dict[str, Any]:
    """Build a final transcript. `speech_final`: the utterance ends with it. The times of `part` count from `offset_s`."""
    start, end = (part.segments[0].start, part.segments[-1].end) if part.segments else (0.0, 0.0)
    message = _transcript(part.text, start + offset_s, end + offset_s, confidence(part), is_final=True, speech_final=speech_final)
    return {**message, "language": part.info.language or None}


def by_speaker(part: Transcript) -> list[Transcript]:
    """Split a final transcript where its speaker changes; one part if it is empty."""
    runs = [tuple(run) for _, run in groupby(part.segments, key=lambda segment: segment.speaker)]
    return [replace(part, segments=run) for run in runs] or [part]


def speaker(part: Transcript) -> dict[str, str | None]:
    """Build the field of a session with `diarize`: the speaker of the first segment, None if it is not known."""
    return {"speaker": part.segments[0].speaker if part.segments else None}


def progress(until_s: float) -> dict[str, Any]:
    """Report that all text before `until_s` seconds of audio was sent and is final."""
    return {"type": "progress", **final_until(until_s)}


def final_until(until_s: float) -> dict[str, float]:
    """Build the field of a resumable session; rounded down, so that no audio after it is left out."""
    return {"final_until": math.floor(until_s * 10**DECIMALS) / 10**DECIMALS}


def session_end(seconds: float) -> dict[str, Any]:
    """Report that all of the audio, `seconds` long, is transcribed."""
    return {"type": "session.end", "duration": round(seconds, DECIMALS)}


def failure(error: SpeechError) -> dict[str, Any]:
    """Build an error message, in the same envelope as the other APIs."""
    return {"type": "error", **envelope(error)}


def confidence(part: Transcript) -> float | None:
    """Return the mean probability of the words, or else of the tokens, in [0, 1]; None if the recognizer does not report any."""
    if part.words and any(word.probability < 1 for word in part.words):
        return round(sum(word.probability for word in part.words) / len(part.words), DECIMALS)
    weighted = [(segment.avg_logprob, len(segment.text)) for segment in part.segments if segment.avg_logprob < 0]
    if not weighted:
        return None
    return round(math.exp(sum(logprob * weight for logprob, weight in weighted) / max(1, sum(weight for _, weight in weighted))), DECIMALS)


def _transcript(  # noqa: PLR0913 - the fields of one message
    text: str, start_s: float, end_s: float, confidence: float | None, *, is_final: bool, speech_final: bool
) -> dict[str, Any]:
    return {
        "type": "transcript", "is_final": is_final, "speech_final": speech_final, "text": text, "start": round(start_s, DECIMALS),
        "end": round(end_s, DECIMALS), "confidence": confidence,
    }  # fmt: skip
