"""The bodies of responses: a turn, its timings, a generated text and the list of sessions. Pure."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel

from open_speech.api.gemmavoice.transcripts import TranscriptBody
from open_speech.dialogue.turn import Timings, Truncated, TurnResult

FinishReason = Literal["stop", "length", "max_speech", "content_filter", "no_speech"]
_REASONS: dict[Truncated, FinishReason] = {
    "": "stop", "max_tokens": "length", "max_speech": "max_speech", "content_filter": "content_filter",
}  # fmt: skip


class TimingsBody(BaseModel):
    """The durations of a turn in seconds, and the number of tokens. Null: the stage had no result."""

    transcription_s: float | None
    first_token_s: float | None
    first_audio_s: float | None
    total_s: float
    audio_s: float
    tokens: int


class OutcomeBody(BaseModel):
    """How a turn ended."""

    session_id: str | None
    model: str
    finish_reason: FinishReason
    truncated: bool
    dropped_turns: int
    speech_error: str | None
    usage: dict[str, int]
    timings: TimingsBody


class DialogueBody(OutcomeBody):
    """Response of `POST /v1/dialogue`: GemmaVoice's fields, and how the turn ended."""

    transcript: TranscriptBody
    response_text: str
    audio_base64: str
    response_format: str
    media_type: str
    sample_rate: int | None
    reference_id: str | None


class GenerateBody(BaseModel):
    """Response of `POST /v1/generate`."""

    generated_text: str
    model: str
    finish_reason: FinishReason
    usage: dict[str, int]


class SessionBody(BaseModel):
    """A dialogue session."""

    id: str
    turns: int
    tokens: int
    used_at: int
    """Seconds since 1970."""


class SessionList(BaseModel):
    """Response of `GET /v1/dialogue/sessions`, the most recently used session first."""

    object: Literal["list"] = "list"
    data: tuple[SessionBody, ...]


class DeletedSessionBody(BaseModel):
    """A deleted session."""

    id: str
    object: Literal["dialogue.session.deleted"] = "dialogue.session.deleted"
    deleted: Literal[True] = True


def outcome(result: TurnResult, *, session_id: str | None, model: str) -> OutcomeBody:
    """Return how a turn ended."""
    error = result.speech_error
    return OutcomeBody(
        session_id=session_id,
        model=model,
        finish_reason=finish_reason(result.truncated) if result.said.strip() else "no_speech",
        truncated=bool(result.truncated),
        dropped_turns=result.dropped_turns,
        speech_error=None if error is None else error.message,
        usage=dict(result.usage),
        timings=timings_body(result.timings),
    )


def finish_reason(truncated: Truncated) -> FinishReason:
    """Return the reason for the end of an answer."""
    return _REASONS[truncated]


def timings_body(timings: Timings) -> TimingsBody:
    """Return timings, rounded to milliseconds."""

    def rounded(value: float | None) -> float | None:
        return None if value is None else round(value, 3)

    return TimingsBody(
        transcription_s=rounded(timings.transcription_s),
        first_token_s=rounded(timings.first_token_s),
        first_audio_s=rounded(timings.first_audio_s),
        total_s=round(timings.total_s, 3),
        audio_s=round(timings.audio_s, 3),
        tokens=timings.tokens,
    )


def event(name: str, data: Any = None) -> dict[str, Any]:
    """Build one event of a stream."""
    return {"event": name} if data is None else {"event": name, "data": data}
