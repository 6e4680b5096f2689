"""Where things that happen are counted: one meter a process, handed to the engine and to the doors."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import aclosing, contextmanager
from typing import TypeVar

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
    """Counts; a call costs some microseconds. Models come by their ids, and are told under labels of labels.py."""

    def __init__(self, clock: Clock = time.perf_counter) -> None:
        self.figures = Figures()
        self._clock = clock
        self._models: Models | None = None

    def learn(self, registry: Registry) -> None:
        """Learn which models there are; until then each is `other`."""
        self._models = Models(registry)

    def answered(self, door: str, route: str, method: str, status: int, *, took_s: float, first_byte_s: float | None) -> None:
        """Count a request whose answer has ended; `first_byte_s` is None if nothing but a head was sent."""
        figures = self.figures
        figures.requests.labels(door, route, method, str(status)).inc()
        figures.durations.labels(door, route).observe(took_s)
        if first_byte_s is not None:
            figures.first_bytes.labels(door, route).observe(first_byte_s)

    def failed(self, door: str, code: str) -> None:
        """Count an error that a client is told."""
        self.figures.errors.labels(door, code).inc()

    @contextmanager
    def session(self, door: str) -> Iterator[None]:
        """Count a connection at a live door, from its begin to its end."""
        figures, begun = self.figures, self._clock()
        figures.sessions_begun.labels(door).inc()
        figures.sessions.labels(door).inc()
        try:
            yield
        finally:
            figures.sessions.labels(door).dec()
            figures.session_times.labels(door).observe(self._clock() - begun)

    async def transcribed(
        self, model: str, items: AsyncGenerator[TranscriptInfo | Segment, None]
    ) -> AsyncGenerator[TranscriptInfo | Segment, None]:
        """Pass on a transcription while it is made, and count it when it has come to its end."""
        logs.note_model(model)
        heard_s = 0.0
        watch = _Watch(self._clock)
        async with aclosing(items):
            while (item := await watch.next(items)) is not None:
                if isinstance(item, TranscriptInfo):
                    heard_s = item.duration
                yield item
        self.heard(model, heard_s)
        self.worked("stt", model, heard_s, watch.took_s)

    async def spoken(self, model: str, sound: AsyncGenerator[Audio, None]) -> AsyncGenerator[Audio, None]:
        """Pass on a speech while it is made, and count its sound; how fast it was is known when it has come to its end."""
        logs.note_model(model)
        label = self._label(model)
        made_s = 0.0
        watch = _Watch(self._clock)
        async with aclosing(sound):
            while (audio := await watch.next(sound)) is not None:
                if not made_s:
                    self.figures.first_sounds.labels(label).observe(watch.took_s)
                made_s += audio.seconds
                self.figures.audio_out.labels(label).inc(audio.seconds)
                yield audio
        self.worked("tts", model, made_s, watch.took_s)

    async def read(self, model: str, steps: AsyncIterator[Step]) -> AsyncGenerator[Step, None]:
        """Pass on what is to be spoken, and count its characters."""
        label = self._label(model)
        async for step in steps:
            if isinstance(step, Say):
                self.figures.characters.labels(label).inc(len(step.text))
            yield step

    def heard(self, model: str, seconds: float) -> None:
        """Count sound whose text is final."""
        self.figures.audio_in.labels(self._label(model)).inc(seconds)

    def worked(self, task: str, model: str, seconds: float, took_s: float) -> None:
        """Count how fast so many seconds of sound were dealt with; none at all say nothing about that."""
        if seconds > 0:
            self.figures.factors.labels(task, self._label(model)).observe(took_s / seconds)

    @contextmanager
    def working(self, task: str, model: str, seconds: float) -> Iterator[None]:
        """Count how fast a block deals with so many seconds of sound, unless it fails."""
        logs.note_model(model)
        since = self._clock()
        yield
        self.worked(task, model, seconds, self._clock() - since)

    def _label(self, model: str) -> str:
        return OTHER if self._models is None else self._models.label(model)


class _Watch:
    """Measures the time that things take to come, without that in which nobody asks for them."""

    def __init__(self, clock: Clock) -> None:
        self.took_s = 0.0
        self._clock = clock

    async def next(self, items: AsyncIterator[T]) -> T | None:
        since = self._clock()
        try:
            return await anext(items, None)
        finally:
            self.took_s += self._clock() - since
