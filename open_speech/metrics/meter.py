"""Counts events: one meter per process, which is passed to the engine and to the APIs."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from open_speech import logs
from open_speech.audio import Audio
from open_speech.metrics.figures import Figures
from open_speech.metrics.labels import OTHER, Models
from open_speech.registry import Registry
from open_speech.text.steps import Say, Step
from open_speech.transcript import Segment, TranscriptInfo

T = TypeVar("T")
Clock = Callable[[], float]


class Meter:
    """Recorder of events, at a few microseconds per call. It takes model ids and records them under the labels of labels.py."""

    def __init__(self, clock: Clock = time.perf_counter) -> None:
        self.figures = Figures()
        self._clock = clock
        self._models: Models | None = None

    def learn(self, registry: Registry) -> None:
        """Set the registry of models; until then the label of every model is `other`."""
        self._models = Models(registry)

    def answered(self, door: str, route: str, method: str, status: int, *, took_s: float, first_byte_s: float | None) -> None:
        """Count a request whose response has ended; `first_byte_s` is None if only headers were sent."""
        figures = self.figures
        figures.requests.labels(door, route, method, str(status)).inc()
        figures.durations.labels(door, route).observe(took_s)
        if first_byte_s is not None:
            figures.first_bytes.labels(door, route).observe(first_byte_s)

    def failed(self, door: str, code: str) -> None:
        """Count an error that is sent to a client."""
        self.figures.errors.labels(door, code).inc()

    @contextmanager
    def session(self, door: str) -> Iterator[None]:
        """Count a connection to a live API, from its beginning to its end."""
        figures, began = self.figures, self._clock()
        figures.sessions_begun.labels(door).inc()
        figures.sessions.labels(door).inc()
        try:
            yield
        finally:
            figures.sessions.labels(door).dec()
            figures.session_times.labels(door).observe(self._clock() - began)

    async def transcribed(
        self, model: str, items: AsyncGenerator[TranscriptInfo | Segment, None]
    ) -> AsyncGenerator[TranscriptInfo | Segment, None]:
        """Pass on the items of a transcription as they arrive, and count it at its end."""
        logs.note_model(model)
        audio_s = 0.0
        stopwatch = _Stopwatch(self._clock)
        async with aclosing(items):
            while (item := await stopwatch.next(items)) is not None:
                if isinstance(item, TranscriptInfo):
                    audio_s = item.duration
                yield item
        self.heard(model, audio_s)
        self.worked("stt", model, audio_s, stopwatch.took_s)

    async def spoken(self, model: str, pieces: AsyncGenerator[Audio, None]) -> AsyncGenerator[Audio, None]:
        """Pass on synthesized audio as it arrives, and count it; the real-time factor is recorded at its end."""
        logs.note_model(model)
        label = self._label(model)
        audio_s = 0.0
        stopwatch = _Stopwatch(self._clock)
        async with aclosing(pieces):
            while (audio := await stopwatch.next(pieces)) is not None:
                if not audio_s:
                    self.figures.first_audio_times.labels(label).observe(stopwatch.took_s)
                audio_s += audio.seconds
                self.figures.audio_out.labels(label).inc(audio.seconds)
                yield audio
        self.worked("tts", model, audio_s, stopwatch.took_s)

    async def read(self, model: str, steps: AsyncIterator[Step]) -> AsyncGenerator[Step, None]:
        """Pass on the steps of a speech, and count the characters of their text."""
        label = self._label(model)
        async for step in steps:
            if isinstance(step, Say):
                self.figures.characters.labels(label).inc(len(step.text))
            yield step

    async def generated(self, model: str, chunks: AsyncGenerator[dict[str, Any], None]) -> AsyncGenerator[dict[str, Any], None]:
        """Pass on the chunks of a language model's answer, and count its tokens at its end, even if that is early.

        A chunk is counted as a token until the last chunk has the exact number (`usage`).
        """
        logs.note_model(model)
        stopwatch, tokens = _Stopwatch(self._clock), _Tokens()
        try:
            async with aclosing(chunks):
                while (chunk := await stopwatch.next(chunks)) is not None:
                    tokens.add(chunk, stopwatch.took_s)
                    yield chunk
        finally:
            self._count_tokens(self._label(model), tokens)

    def _count_tokens(self, label: str, tokens: _Tokens) -> None:
        figures = self.figures
        figures.tokens_in.labels(label).inc(tokens.prompt)
        figures.tokens_out.labels(label).inc(tokens.completion)
        if tokens.first_s is not None:
            figures.first_token_times.labels(label).observe(tokens.first_s)
        if (rate := tokens.per_second) is not None:
            figures.token_rates.labels(label).observe(rate)

    def heard(self, model: str, seconds: float) -> None:
        """Count audio whose transcript is final."""
        self.figures.audio_in.labels(self._label(model)).inc(seconds)

    def turn_decided(self, outcome: Literal["complete", "incomplete", "late", "failed"], took_s: float) -> None:
        """Count a decision of the turn detector."""
        self.figures.turn_decisions.labels(outcome).observe(took_s)

    def fell_back(self, task: str, model: str, fallback: str, code: str) -> None:
        """Count a request that moved on from a model that failed, with the code of its error, to a fallback model."""
        self.figures.fallbacks.labels(task, self._label(model), self._label(fallback), code).inc()

    def dialogue(self, kind: str, took_s: float, *, failed: bool = False) -> None:
        """Count a dialogue turn or a generated text; `kind` is the API that requested it."""
        if failed:
            self.figures.dialogue_errors.labels(kind).inc()
        else:
            self.figures.dialogues.labels(kind).observe(took_s)

    def stage(self, stage: Literal["stt", "llm", "tts"], took_s: float | None) -> None:
        """Record the duration of a stage of a dialogue turn; None: it failed."""
        if took_s is None:
            self.figures.stage_errors.labels(stage).inc()
        else:
            self.figures.stages.labels(stage).observe(took_s)

    def early_answer(self, outcome: Literal["started", "released", "dropped"]) -> None:
        """Count an answer that is begun before the user's turn has ended: its start, and then its release or its drop."""
        self.figures.early_answers.labels(outcome).inc()

    def worked(self, task: str, model: str, seconds: float, took_s: float) -> None:
        """Record the real-time factor of `seconds` of audio that took `took_s`; nothing if there was no audio."""
        if seconds > 0:
            self.figures.factors.labels(task, self._label(model)).observe(took_s / seconds)

    @contextmanager
    def working(self, task: str, model: str, seconds: float) -> Iterator[None]:
        """Record the real-time factor of a block that processes `seconds` of audio, unless it fails."""
        logs.note_model(model)
        since = self._clock()
        yield
        self.worked(task, model, seconds, self._clock() - since)

    def _label(self, model: str) -> str:
        return OTHER if self._models is None else self._models.label(model)


@dataclass(slots=True)
class _Tokens:
    """The tokens of one answer so far, and when they arrived, in seconds from the beginning."""

    prompt: int = 0
    completion: int = 0
    first_s: float | None = None
    last_s: float = 0.0

    def add(self, chunk: Mapping[str, Any], at_s: float) -> None:
        """Add a chunk of `/chat/completions` or `/completions`."""
        choices = chunk.get("choices") or ()
        if any(choice.get("text") or any(value for key, value in choice.get("delta", {}).items() if key != "role") for choice in choices):
            self.first_s = at_s if self.first_s is None else self.first_s
            self.last_s = at_s
            self.completion += 1
        if usage := chunk.get("usage"):
            self.prompt = usage.get("prompt_tokens", 0)
            self.completion = usage.get("completion_tokens", self.completion)

    @property
    def per_second(self) -> float | None:
        """Tokens per second after the first token; None if there are none."""
        if self.first_s is None or self.last_s <= self.first_s:
            return None
        return (self.completion - 1) / (self.last_s - self.first_s)


class _Stopwatch:
    """Measures the time spent waiting for items, without the time in which the consumer does not request any."""

    def __init__(self, clock: Clock) -> None:
        self.took_s = 0.0
        self._clock = clock

    async def next(self, items: AsyncIterator[T]) -> T | None:
        since = self._clock()
        try:
            return await anext(items, None)
        finally:
            self.took_s += self._clock() - since
