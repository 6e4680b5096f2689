"""Segments as they become final -> OpenAI's events: `transcript.text.delta`, `.segment` and `.done`. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

from open_speech.api.openai import responses
from open_speech.api.openai.responses import Extras
from open_speech.api.openai.schemas import LanguageBody, TokenUsage
from open_speech.api.openai.transcription_request import Granularity
from open_speech.transcript import Segment, TranscriptInfo


class EventWriter:
    """Writes the events of one transcription. The deltas, joined, are the text of the last event."""

    def __init__(self, extras: Extras, *, speakers: bool = False, times: Collection[Granularity] = ()) -> None:
        """With `speakers`, each segment that was said is an event too; with `times`, deltas tell when, which is not OpenAI's."""
        self._extras = extras
        self._speakers = speakers
        self._times = times
        self._text: list[str] = []
        self._space = ""
        self._said = 0
        self._logprobs: list[dict[str, Any]] = []

    def segment(self, segment: Segment) -> Iterator[dict[str, Any]]:
        """Write what one more segment adds; nothing for one without text."""
        delta = self._delta(segment.text)
        if not delta:
            return
        self._said += 1
        event: dict[str, Any] = {"type": "transcript.text.delta", "delta": delta}
        if self._extras.logprobs:
            event["logprobs"] = [token.model_dump() for token in responses.tokens(segment)]
            self._logprobs += event["logprobs"]
        event |= responses.times(segment, self._times)
        if segment.channel is not None:
            event["channel"] = segment.channel
        if self._speakers:
            event["segment_id"] = responses.segment_id(self._said)
        yield event
        if self._speakers:
            yield responses.diarized_segment(self._said, segment).model_dump(exclude_none=True)

    def done(self, info: TranscriptInfo) -> dict[str, Any]:
        """Write the last event."""
        text = "".join(self._text)
        event: dict[str, Any] = {"type": "transcript.text.done", "text": text}
        if self._extras.languages:
            event["languages"] = [LanguageBody(code=info.language).model_dump()] if text else []
        if self._extras.logprobs:
            event["logprobs"] = self._logprobs
        if self._times:
            event |= {"language": info.language, "duration": info.duration}
        event["usage"] = {"type": "tokens", **TokenUsage.heard(info.duration, text).model_dump()}
        return event

    def _delta(self, text: str) -> str:
        """Keep the space at the end of a segment back: the text has none at its end, and nobody knows yet whether this is it."""
        text = self._space + text if self._text else text.lstrip()
        delta = text.rstrip()
        if delta:
            self._text.append(delta)
        self._space = text[len(delta) :]
        return delta
