"""Speech as events or JSON: the audio with progress, word timestamps, captions and usage, while the audio is sent."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from typing import Any

from open_speech.api.openai.captioning import Captioner, recognizer_for
from open_speech.api.openai.schemas import SpeechRequest, TokenUsage
from open_speech.audio import Audio
from open_speech.codecs.wav import with_true_sizes
from open_speech.engine import Engine
from open_speech.errors import InvalidValue
from open_speech.recognition import subtitles
from open_speech.recognition.subtitle_layout import Shape
from open_speech.synthesis.cues import narrated
from open_speech.synthesis.stream import Cue, SpeechStream
from open_speech.transcript import Segment, Transcript, TranscriptInfo
from open_speech.voices import ResolvedVoice

_SHAPE = Shape(line_width=42, line_count=2)
"""The usual layout of subtitles: two lines of 42 characters."""


def wants_captions(body: SpeechRequest) -> bool:
    """Return whether a request needs word timestamps."""
    return body.timestamps is not None or body.captions is not None


def captioner_for(body: SpeechRequest, engine: Engine, voice: ResolvedVoice) -> Captioner | None:
    """Return a captioner if the request needs word timestamps. Raises subclasses of InvalidRequest naming the field."""
    if not wants_captions(body):
        return None
    field = "timestamps" if body.timestamps else "captions"
    if body.stream_format not in ("sse", "json"):
        raise InvalidValue(f"`{field}` needs `stream_format` `sse` or `json`: an audio response has no place for it.", param=field)
    return Captioner(recognizer_for(engine.recognition, engine.registry, voice, field))


class SpeechMonitor:
    """Observes one speech while it is encoded, and formats the response."""

    def __init__(self, body: SpeechRequest, captioner: Captioner | None = None) -> None:
        self.body = body
        self.seconds = 0.0
        """Duration of the audio so far."""
        self._captioner = captioner
        self._segments: list[Segment] = []
        self._piece_chars = 0
        """Characters of the current piece."""
        self._done_chars = self._reported_chars = 0

    async def over(self, speech: SpeechStream) -> AsyncGenerator[Audio, None]:
        """Yield the audio of the speech."""
        async for item in narrated(speech):
            if self._captioner is not None:
                await self._captioner.feed(item)
            if isinstance(item, Audio):
                self.seconds += item.seconds
                yield item
            elif not item.is_mark:
                self._next_piece(item)

    async def aclose(self) -> None:
        """Stop the work for the captions."""
        if self._captioner is not None:
            await self._captioner.aclose()

    async def events(self, audio: AsyncGenerator[bytes, None]) -> AsyncGenerator[dict[str, Any], None]:
        """Yield encoded audio as events; timestamps and progress follow the audio that they refer to."""
        async with aclosing(self), aclosing(audio):
            async for chunk in audio:
                yield {"type": "speech.audio.delta", "audio": base64.b64encode(chunk).decode()}
                for event in self._new_events():
                    yield event
            for segment in await self._rest():
                yield _words(segment)
            if self.body.progress:
                yield self._progress(len(self.body.input))
            yield {"type": "speech.audio.done", **self._last()}

    async def as_json(self, audio: AsyncGenerator[bytes, None], form: str) -> AsyncGenerator[bytes, None]:
        """Yield encoded audio, word timestamps, captions and usage as one JSON object.

        Audio is sent as it is synthesized, except for WAV, whose header at the beginning contains the length.
        """
        if form == "wav":
            audio = _whole(audio)
        yield f'{{"format":{json.dumps(form)},"audio":"'.encode()
        odd = b""
        async with aclosing(self), aclosing(audio):
            async for chunk in audio:
                data = odd + chunk
                odd = data[len(data) - len(data) % 3 :]
                yield base64.b64encode(data[: len(data) - len(odd)])
                self._timed()
            await self._rest()
        rest: dict[str, Any] = {"duration": round(self.seconds, 3)}
        if self.body.timestamps:
            rest["words"] = [word for segment in self._segments for word in _words(segment)["words"]]
        yield base64.b64encode(odd) + b'",' + json.dumps({**rest, **self._last()}, ensure_ascii=False).encode()[1:]

    def _next_piece(self, cue: Cue) -> None:
        self._done_chars += self._piece_chars
        self._piece_chars = len(cue.text)

    def _new_events(self) -> Iterator[dict[str, Any]]:
        if self.body.progress and self._done_chars > self._reported_chars:
            self._reported_chars = self._done_chars
            yield self._progress(min(self._done_chars, len(self.body.input)))
        for segment in self._timed():
            yield _words(segment)

    def _timed(self) -> list[Segment]:
        """Return the pieces whose words have timestamps."""
        return self._stored([] if self._captioner is None else self._captioner.ready())

    async def _rest(self) -> list[Segment]:
        return self._stored([] if self._captioner is None else await self._captioner.finish())

    def _stored(self, segments: list[Segment]) -> list[Segment]:
        """Store segments if the end of the response needs them: for subtitles and for JSON."""
        if self.body.captions or self.body.stream_format == "json":
            self._segments += segments
        return segments

    def _progress(self, done: int) -> dict[str, Any]:
        return {"type": "speech.audio.progress", "characters_done": done, "characters_total": len(self.body.input)}

    def _last(self) -> dict[str, Any]:
        last: dict[str, Any] = {}
        if self.body.captions:
            write = subtitles.to_vtt if self.body.captions == "vtt" else subtitles.to_srt
            info = TranscriptInfo(self.body.language or "", 1.0, self.seconds)
            last["captions"] = write(Transcript(info, tuple(self._segments)), _SHAPE)
        return {**last, "usage": TokenUsage.of_synthesis(self.body.input, self.seconds).model_dump()}


async def _whole(audio: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    async with aclosing(audio):
        data = b"".join([chunk async for chunk in audio])
    yield with_true_sizes(data, len(data))


def _words(segment: Segment) -> dict[str, Any]:
    return {
        "type": "speech.audio.words",
        "words": [{"word": w.text.strip(), "start": round(w.start, 3), "end": round(w.end, 3)} for w in segment.words],
    }
