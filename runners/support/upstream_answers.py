"""Parsers for the transcripts of OpenAI-compatible servers: JSON with optional fields, and server-sent events. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from math import isfinite
from typing import Any

from open_speech.errors import BackendFailed
from open_speech.languages import language_code
from open_speech.transcript import Segment, Token, Word

LONGEST_LINE = 16 << 20
"""Maximum bytes of one line of a stream."""


@dataclass(frozen=True, slots=True)
class Written:
    """A transcript; times in seconds from the start of the audio."""

    segments: tuple[Segment, ...]
    language: str | None
    """ISO-639-1 code, if the server reports the language."""


@dataclass(frozen=True, slots=True)
class Delta:
    """The next part of the text."""

    text: str


@dataclass(frozen=True, slots=True)
class Done:
    """The end of the text, with the whole text if the server repeats it."""

    text: str | None
    language: str | None = None


def written_of(answer: Any, seconds: float) -> Written:
    """Parse a whole response, `json` or `verbose_json`; all times are made ascending and within `seconds`.

    Raises BackendFailed if it is not a transcript.
    """
    if not isinstance(answer, dict) or not isinstance(answer.get("text"), str):
        raise BackendFailed("The upstream server returned an invalid response (no transcript).")
    text = answer["text"].strip()
    clock = _Clock(seconds)
    segments = tuple(_segments(_dicts(answer.get("segments")), text, clock))
    if not segments and text:
        segments = (Segment(0.0, seconds, " " + text),)
    words = list(_dicts(answer.get("words"))) or [word for row in _dicts(answer.get("segments")) for word in _dicts(row.get("words"))]
    if words:
        segments = tuple(_with_words(segments, words))
    logprobs = tuple(_tokens(answer.get("logprobs")))
    if logprobs and segments:
        segments = (replace(segments[0], logprobs=logprobs), *segments[1:])
    return Written(segments, _language(answer))


def events_of(chunks: Iterable[bytes]) -> Iterator[Delta | Done]:
    """Parse server-sent events: OpenAI's, or plain text with one segment per event, as older servers send it.

    Raises BackendFailed for an error event, for an event that is too long, and for a stream that ends before the text does.
    """
    ended = plain = False
    for data in _data(chunks):
        if data == "[DONE]":
            break
        match _event(data):
            case {"type": "transcript.text.delta", "delta": str(text)}:
                yield Delta(text)
            case {"type": "transcript.text.done"} as event:
                ended = True
                yield Done(event["text"] if isinstance(event.get("text"), str) else None, _language(event))
            case {"error": error}:
                raise BackendFailed(f"The upstream server failed: {str(error.get('message') if isinstance(error, dict) else error)[:300]}")
            case {"text": str(text)} | str(text) if text.strip():
                plain = True
                yield Delta(" " + text.strip())
    if plain and not ended:
        yield Done(None)
    elif not ended:
        raise BackendFailed("The upstream server disconnected in the middle of its response.")


def _event(data: str) -> Any:
    try:
        event = json.loads(data)
    except ValueError:
        return data
    return event if isinstance(event, dict) else data


def _data(chunks: Iterable[bytes]) -> Iterator[str]:
    """Yield the data of each event in a stream."""
    buffer, lines = b"", []
    for chunk in chunks:
        buffer += chunk
        if len(buffer) > LONGEST_LINE:
            raise BackendFailed("The response of the upstream server is too long.")
        *whole, buffer = buffer.split(b"\n")
        for raw in whole:
            line = raw.decode(errors="replace").rstrip("\r")
            if line.startswith("data:"):
                lines.append(line[5:].removeprefix(" "))
            elif not line and lines:
                yield "\n".join(lines)
                lines = []
    if lines:
        yield "\n".join(lines)


class _Clock:
    """A filter that makes times ascending and within the audio."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._now = 0.0

    def at(self, value: Any) -> float:
        number = float(value) if isinstance(value, (int, float)) and isfinite(value) else self._now
        self._now = min(max(number, self._now), self._seconds)
        return self._now


def _segments(rows: Iterable[Mapping[str, Any]], text: str, clock: _Clock) -> Iterator[Segment]:
    """Parse segments; the space between two segments is taken from the whole text if both are found there."""
    at = 0
    for row in rows:
        own = row["text"].strip() if isinstance(row.get("text"), str) else ""
        if not own:
            continue
        found = text.find(own, at)
        before = (text[at:found] if found >= 0 and not text[at:found].strip() else " ") if at else " "
        at = found + len(own) if found >= 0 else at
        start, end = clock.at(row.get("start")), clock.at(row.get("end"))
        figures = {name: float(row[name]) for name in _FIGURES if isinstance(row.get(name), (int, float))}
        yield Segment(start, end, before + own, **figures)  # type: ignore[arg-type]


_FIGURES = ("temperature", "avg_logprob", "compression_ratio", "no_speech_prob")


def _with_words(segments: tuple[Segment, ...], rows: list[Mapping[str, Any]]) -> Iterator[Segment]:
    """Add the words to each segment, spelled as in its text: with the space before and the marks after."""
    left = [row for row in rows if isinstance(row.get("word"), str) and row["word"].strip()]
    for segment in segments:
        text, at, starts = segment.text, 0, []
        while left:
            own = left[0]["word"].strip()
            found = text.find(own, at)
            if found < 0 and _number(left[0].get("start"), segment.start) >= segment.end:
                break  # the word belongs to a later segment
            row = left.pop(0)
            if found >= 0:
                starts.append((found, row))
                at = found + len(own)
        yield replace(segment, words=tuple(_words(segment, starts)))


def _words(segment: Segment, starts: list[tuple[int, Mapping[str, Any]]]) -> Iterator[Word]:
    text = segment.text
    # A word begins with the white space before it; any other text between two words belongs to the first of them.
    edges = [found - (len(text[:found]) - len(text[:found].rstrip())) for found, _ in starts]
    now = segment.start
    for (_, row), begin, end in zip(starts, [0, *edges[1:]], [*edges[1:], len(text)], strict=False):
        start = min(max(_number(row.get("start"), now), now), segment.end)
        now = min(max(_number(row.get("end"), start), start), segment.end)
        yield Word(text[begin:end], start, now, min(max(_number(row.get("probability"), 1.0), 0.0), 1.0))


def _tokens(rows: Any) -> Iterator[Token]:
    for row in _dicts(rows):
        if isinstance(row.get("token"), str):
            yield Token(row["token"], min(_number(row.get("logprob"), 0.0), 0.0))


def _number(value: Any, default: float) -> float:
    return float(value) if isinstance(value, (int, float)) and isfinite(value) else default


def _dicts(rows: Any) -> Iterator[Mapping[str, Any]]:
    return (row for row in rows if isinstance(row, dict)) if isinstance(rows, list) else iter(())


def _language(answer: Mapping[str, Any]) -> str | None:
    match answer:
        case {"language": str(told)} | {"languages": [{"code": str(told)}, *_]} if told:
            return language_code(told)
    return None
