"""A transcript -> the response in the requested format. Pure."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Literal

from fastapi.responses import JSONResponse, PlainTextResponse
from pydantic import BaseModel
from starlette.responses import Response

from open_speech.api.openai.schemas import (
    AnswerFormat,
    DiarizedBody,
    DiarizedSegmentBody,
    DurationUsage,
    LanguageBody,
    SegmentBody,
    TokenBody,
    TranscriptionBody,
    VerboseBody,
    WordBody,
)
from open_speech.api.openai.transcription_request import Granularity
from open_speech.languages import language_name
from open_speech.recognition.subtitle_layout import Shape
from open_speech.recognition.subtitles import to_srt, to_text, to_vtt
from open_speech.transcript import Segment, Transcript, Word

ONE_SPEAKER = "A"
"""Label of a segment to which the diarizer assigned no speaker."""


@dataclass(frozen=True, slots=True)
class Extras:
    """Options of a response besides its format: the shape of subtitles, and additional keys in `json`."""

    shape: Shape | None = None
    logprobs: bool = False
    languages: bool = False


def answer(
    transcript: Transcript, form: AnswerFormat, granularities: tuple[Granularity, ...] = ("segment",), extras: Extras | None = None
) -> Response:
    """Return the response with a transcript; `granularities` apply to `verbose_json` only."""
    extras = extras or Extras()
    match form:
        case "text":
            return PlainTextResponse(to_text(transcript))
        case "srt":
            return PlainTextResponse(to_srt(transcript, extras.shape))
        case "vtt":
            return PlainTextResponse(to_vtt(transcript, extras.shape))
    return Response(to_json(body_of(transcript, form, granularities, extras)), media_type=JSONResponse.media_type)


def body_of(
    transcript: Transcript,
    form: Literal["json", "verbose_json", "diarized_json"],
    granularities: tuple[Granularity, ...] = ("segment",),
    extras: Extras | None = None,
) -> BaseModel:
    """Return the body in one of the JSON formats."""
    match form:
        case "verbose_json":
            return verbose(transcript, granularities)
        case "diarized_json":
            return diarized(transcript)
        case "json":
            return _plain(transcript, extras or Extras())


def to_json(body: BaseModel) -> str:
    """Return a body as JSON, without keys that have no value."""
    return body.model_dump_json(exclude_none=True)


def _plain(transcript: Transcript, extras: Extras) -> TranscriptionBody:
    return TranscriptionBody(
        text=transcript.text,
        languages=languages(transcript) if extras.languages else None,
        logprobs=tuple(token for segment in transcript.segments for token in tokens(segment)) if extras.logprobs else None,
        usage=DurationUsage.of(transcript.info),
    )


def verbose(transcript: Transcript, granularities: tuple[Granularity, ...]) -> VerboseBody:
    """Return the `verbose_json` body. Its language is English for a translation."""
    info = transcript.info
    return VerboseBody(
        task=info.task,
        language="english" if info.task == "translate" else language_name(info.language),
        language_probability=round(info.language_probability, 4),
        duration=round(info.duration, 3),
        text=transcript.text,
        segments=tuple(_segment(i, s) for i, s in enumerate(transcript.segments)) if "segment" in granularities else None,
        words=tuple(_word(w, s) for s in transcript.segments for w in s.words) if "word" in granularities else None,
        usage=DurationUsage.of(info),
    )


def diarized(transcript: Transcript) -> DiarizedBody:
    """Return the `diarized_json` body."""
    segments = (segment for segment in transcript.segments if segment.text.strip())
    return DiarizedBody(
        duration=round(transcript.info.duration, 3),
        text=transcript.text,
        segments=tuple(diarized_segment(number, segment) for number, segment in enumerate(segments, 1)),
        usage=DurationUsage.of(transcript.info),
    )


def diarized_segment(number: int, segment: Segment) -> DiarizedSegmentBody:
    """Return a segment with its speaker; `number` counts from 1."""
    return DiarizedSegmentBody(
        id=segment_id(number),
        start=round(segment.start, 3),
        end=round(segment.end, 3),
        text=segment.text.strip(),
        speaker=segment.speaker or ONE_SPEAKER,
        channel=segment.channel,
    )


def segment_id(number: int) -> str:
    """Return the id of a segment in OpenAI's form; `number` counts from 1."""
    return f"seg_{number:03d}"


def tokens(segment: Segment) -> tuple[TokenBody, ...]:
    """Return the tokens of a segment with their log probabilities."""
    return tuple(TokenBody(token=t.text, logprob=t.logprob, bytes=tuple(t.text.encode())) for t in segment.logprobs)


def times(segment: Segment, granularities: Collection[Granularity]) -> dict[str, Any]:
    """Return the times of a segment and of its words in seconds, as far as `granularities` request them."""
    fields: dict[str, Any] = {"start": round(segment.start, 3), "end": round(segment.end, 3)} if granularities else {}
    if "word" in granularities:
        fields["words"] = [_word(word, segment).model_dump(exclude_none=True) for word in segment.words]
    return fields


def languages(transcript: Transcript) -> tuple[LanguageBody, ...]:
    """Return the detected language; none if there is no speech."""
    return (LanguageBody(code=transcript.info.language),) if transcript.text else ()


def _segment(number: int, segment: Segment) -> SegmentBody:
    return SegmentBody(
        id=number,
        seek=segment.seek,
        start=round(segment.start, 3),
        end=round(segment.end, 3),
        text=segment.text,
        tokens=segment.tokens,
        temperature=segment.temperature,
        avg_logprob=segment.avg_logprob,
        compression_ratio=segment.compression_ratio,
        no_speech_prob=segment.no_speech_prob,
        speaker=segment.speaker,
        channel=segment.channel,
        language=segment.language,
    )


def _word(word: Word, segment: Segment) -> WordBody:
    return WordBody(word=word.text.strip(), start=round(word.start, 3), end=round(word.end, 3), speaker=segment.speaker)
