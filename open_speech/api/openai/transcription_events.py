"""Final segments -> OpenAI's events: `transcript.text.delta`, `.segment` and `.done`. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

from open_speech.api.openai import responses
from open_speech.api.openai.responses import Extras
from open_speech.api.openai.schemas import LanguageBody, TokenUsage
from open_speech.api.openai.transcription_request import Granularity
from open_speech.transcript import Segment, TranscriptInfo


class EventWriter:
    """Creates the events of one transcription. The concatenated deltas are the text of the last event."""

    def __init__(self, extras: Extras, *, speakers: bool = False, times: Collection[Granularity] = ()) -> None:
        """With `speakers`, each segment with text is also an event. With `times`, deltas contain timestamps, which is an extension."""
        self._extras = extras
        self._speakers = speakers
        self._times = times
        self._text: list[str] = []
        self._space = ""
        self._count = 0
        self._logprobs: list[dict[str, Any]] = []

    def segment(self, segment: Segment) -> Iterator[dict[str, Any]]:
        """Yield the events for the next segment; none for a segment without text."""
        delta = self._delta(segment.text)
        if not delta:
            return
        self._count += 1
        event: dict[str, Any] = {"type": "transcript.text.delta", "delta": delta}
        if self._extras.logprobs:
            event["logprobs"] = [token.model_dump() for token in responses.tokens(segment)]
            self._logprobs += event["logprobs"]
        event |= responses.times(segment, self._times)
        if segment.channel is not None:
            event["channel"] = segment.channel
        if self._speakers:
            event["segment_id"] = responses.segment_id(self._count)
        yield event
        if self._speakers:
            yield responses.diarized_segment(self._count, segment).model_dump(exclude_none=True)

    def done(self, info: TranscriptInfo) -> dict[str, Any]:
        """Return the last event."""
        text = "".join(self._text)
        event: dict[str, Any] = {"type": "transcript.text.done", "text": text}
        if self._extras.languages:
            event["languages"] = [LanguageBody(code=info.language).model_dump()] if text else []
        if self._extras.logprobs:
            event["logprobs"] = self._logprobs
        if self._times:
            event |= {"language": info.language, "duration": info.duration}
        event["usage"] = {"type": "tokens", **TokenUsage.of_transcription(info.duration, text).model_dump()}
        return event

    def _delta(self, text: str) -> str:
        """Return the new text. Trailing space is held back until the next segment, because the complete text has none at its end."""
        text = self._space + text if self._text else text.lstrip()
        delta = text.rstrip()
        if delta:
            self._text.append(delta)
        self._space = text[len(delta) :]
        return delta
