"""A transcript -> the answer in the format that was asked for. Pure."""

from __future__ import annotations

from fastapi.responses import JSONResponse, PlainTextResponse
from pydantic import BaseModel
from starlette.responses import Response

from open_speech.languages import language_name
from open_speech.openai import sse
from open_speech.openai.schemas import (
    DurationUsage,
    Granularity,
    SegmentBody,
    TokenUsage,
    TranscriptFormat,
    TranscriptionBody,
    VerboseBody,
    WordBody,
)
from open_speech.subtitles import to_srt, to_text, to_vtt
from open_speech.transcript import Segment, Transcript, Word

_WRITERS = {"text": to_text, "srt": to_srt, "vtt": to_vtt}


def answer(transcript: Transcript, form: TranscriptFormat, granularities: tuple[Granularity, ...] = ("segment",)) -> Response:
    """Write a transcript as the whole answer; `granularities` matter to `verbose_json` only."""
    if form == "json":
        return _json(TranscriptionBody(text=transcript.text, usage=DurationUsage.of(transcript)))
    if form == "verbose_json":
        return _json(verbose(transcript, granularities))
    return PlainTextResponse(_WRITERS[form](transcript))


def events(transcript: Transcript) -> Response:
    """Write a transcript as server-sent events; the deltas, joined, are the text."""
    text = transcript.text
    deltas = [sse.event({"type": "transcript.text.delta", "delta": text})] if text else []
    usage = {"type": "tokens", **TokenUsage.heard(transcript).model_dump()}
    done = sse.event({"type": "transcript.text.done", "text": text, "usage": usage})
    return Response(b"".join([*deltas, done]), media_type=sse.MEDIA_TYPE)


def verbose(transcript: Transcript, granularities: tuple[Granularity, ...]) -> VerboseBody:
    """Make the `verbose_json` body. A translation is in English, whatever was spoken."""
    info = transcript.info
    return VerboseBody(
        task=info.task,
        language="english" if info.task == "translate" else language_name(info.language),
        duration=round(info.duration, 3),
        text=transcript.text,
        segments=tuple(_segment(i, s) for i, s in enumerate(transcript.segments)) if "segment" in granularities else None,
        words=tuple(_word(w) for w in transcript.words) if "word" in granularities else None,
        usage=DurationUsage.of(transcript),
    )


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
    )


def _word(word: Word) -> WordBody:
    return WordBody(word=word.text.strip(), start=round(word.start, 3), end=round(word.end, 3))


def _json(body: BaseModel) -> Response:
    return Response(body.model_dump_json(exclude_none=True), media_type=JSONResponse.media_type)
