"""What a client is told of a speech beside its sound, while that is sent: how far it is, when each word is said."""

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
"""Subtitles as film has them: two lines of 42 characters."""


def wants_captions(body: SpeechRequest) -> bool:
    """Return whether a request asks for the times of words."""
    return body.timestamps is not None or body.captions is not None


def captioner_for(body: SpeechRequest, engine: Engine, voice: ResolvedVoice) -> Captioner | None:
    """Prepare to time the words of a speech, if the request asks for that. Raises InvalidRequest's children naming the field."""
    if not wants_captions(body):
        return None
    field = "timestamps" if body.timestamps else "captions"
    if body.stream_format not in ("sse", "json"):
        raise InvalidValue(f"`{field}` needs `stream_format` `sse` or `json`: an audio response has no place for it.", param=field)
    return Captioner(recognizer_for(engine.recognition, engine.registry, voice, field))


class Follower:
    """Follows one speech while it is encoded."""

    def __init__(self, body: SpeechRequest, captioner: Captioner | None = None) -> None:
        self.body = body
        self.seconds = 0.0
        """Duration of the audio so far."""
        self._captioner = captioner
        self._segments: list[Segment] = []
        self._saying = 0
        """Characters of the piece that is being said."""
        self._said = self._told = 0

    async def over(self, speech: SpeechStream) -> AsyncGenerator[Audio, None]:
        """Give the speech's sound."""
        async for item in narrated(speech):
            if self._captioner is not None:
                await self._captioner.feed(item)
            if isinstance(item, Audio):
                self.seconds += item.seconds
                yield item
            elif not item.is_mark:
                self._goes_on(item)

    async def aclose(self) -> None:
        """Stop what is still being done for the captions."""
        if self._captioner is not None:
            await self._captioner.aclose()

    async def events(self, sound: AsyncGenerator[bytes, None]) -> AsyncGenerator[dict[str, Any], None]:
        """Write encoded sound as events, with what is known beside it, each after the sound that it is about."""
        async with aclosing(self), aclosing(sound):
            async for chunk in sound:
                yield {"type": "speech.audio.delta", "audio": base64.b64encode(chunk).decode()}
                for event in self._news():
                    yield event
            for segment in await self._rest():
                yield _words(segment)
            if self.body.progress:
                yield self._progress(len(self.body.input))
            yield {"type": "speech.audio.done", **self._last()}

    async def as_json(self, sound: AsyncGenerator[bytes, None], form: str) -> AsyncGenerator[bytes, None]:
        """Write encoded audio and what is known beside it as one JSON object.

        The audio is written as it is made, but for a WAV, whose header comes first and states the length.
        """
        if form == "wav":
            sound = _whole(sound)
        yield f'{{"format":{json.dumps(form)},"audio":"'.encode()
        odd = b""
        async with aclosing(self), aclosing(sound):
            async for chunk in sound:
                data = odd + chunk
                odd = data[len(data) - len(data) % 3 :]
                yield base64.b64encode(data[: len(data) - len(odd)])
                self._timed()
            await self._rest()
        rest: dict[str, Any] = {"duration": round(self.seconds, 3)}
        if self.body.timestamps:
            rest["words"] = [word for segment in self._segments for word in _words(segment)["words"]]
        yield base64.b64encode(odd) + b'",' + json.dumps({**rest, **self._last()}, ensure_ascii=False).encode()[1:]

    def _goes_on(self, cue: Cue) -> None:
        self._said += self._saying
        self._saying = len(cue.text)

    def _news(self) -> Iterator[dict[str, Any]]:
        if self.body.progress and self._said > self._told:
            self._told = self._said
            yield self._progress(min(self._said, len(self.body.input)))
        for segment in self._timed():
            yield _words(segment)

    def _timed(self) -> list[Segment]:
        """Take the pieces whose words are timed; they are kept only where subtitles are made of them."""
        return self._kept([] if self._captioner is None else self._captioner.ready())

    async def _rest(self) -> list[Segment]:
        return self._kept([] if self._captioner is None else await self._captioner.finish())

    def _kept(self, segments: list[Segment]) -> list[Segment]:
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
        return {**last, "usage": TokenUsage.spoken(self.body.input, self.seconds).model_dump()}


async def _whole(sound: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    async with aclosing(sound):
        data = b"".join([chunk async for chunk in sound])
    yield with_true_sizes(data, len(data))


def _words(segment: Segment) -> dict[str, Any]:
    return {
        "type": "speech.audio.words",
        "words": [{"word": w.text.strip(), "start": round(w.start, 3), "end": round(w.end, 3)} for w in segment.words],
    }
