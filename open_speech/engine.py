"""The one path from every door to a backend: `transcribe()` and `speak()`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np

from open_speech.audio import Audio
from open_speech.backends import STT_RATE, BackendEntry, SpeechOptions, Task, TranscribeOptions, Vad
from open_speech.codecs import Stretcher, decode
from open_speech.errors import BackendFailed, MissingField, NothingToSpeak, OutOfRange, Overloaded, SpeechError, TextTooLong
from open_speech.registry import Registry
from open_speech.remote import RunnerClient
from open_speech.text import pieces, speakable
from open_speech.transcript import Transcript

FIRST_PIECE_CHARS = 80
"""Characters of the first piece of a text at most, where a clause ends in time: sound should start soon."""
LOOK_AHEAD = 2
"""Pieces of sound that may wait for a slow listener; more are not made until it has caught up."""
DECODERS = 2
"""Uploads decoded at once."""
MIN_SPEED, MAX_SPEED = 0.25, 4.0


@dataclass(frozen=True, slots=True)
class EngineLimits:
    """What one request may ask for, and how many may wait."""

    max_audio_s: float
    max_queue: int
    max_text_chars: int


class Engine:
    """Audio to text and text to sound, over whichever backends this server runs."""

    def __init__(
        self,
        registry: Registry,
        runners: Mapping[str, RunnerClient],
        limits: EngineLimits,
        *,
        vad: Vad | None = None,
        speed: float = 1.0,
    ) -> None:
        """`vad` and `speed` are what a request gets that does not say."""
        self.registry = registry
        self._runners = dict(runners)
        self._limits = limits
        self._vad = vad
        self._speed = speed
        self._decoders = ThreadPoolExecutor(DECODERS, thread_name_prefix="decode")
        self._under_way = dict.fromkeys(runners, 0)

    async def transcribe(self, source: bytes | Path, model: str, options: TranscribeOptions) -> Transcript:
        """Decode an upload and transcribe it.

        `source` is a whole media file in any supported format. Raises SpeechError's children, each naming the field at fault.
        """
        entry = self.registry.find(model, Task.STT)
        with self._admitted(entry.backend):
            loop = asyncio.get_running_loop()
            audio = await loop.run_in_executor(self._decoders, lambda: decode(source, STT_RATE, max_seconds=self._limits.max_audio_s))
            wanted = replace(options, vad=options.vad or self._vad)
            return await self._runners[entry.backend].transcribe(entry.id, audio, wanted)

    async def speak(
        self, model: str, text: str, *, voice: str | None = None, speed: float | None = None, language: str | None = None
    ) -> Speech:
        """Speak a text: the answer is an iterator of sound, begun before this returns, so errors come first.

        Raises SpeechError's children, each naming the field at fault.
        """
        entry = self.registry.find(model, Task.TTS)
        backend = self.registry.backends[entry.backend]
        wanted = self._speed if speed is None else speed
        if not MIN_SPEED <= wanted <= MAX_SPEED:
            raise OutOfRange(f"speed must be between {MIN_SPEED} and {MAX_SPEED}.", param="speed")
        low, high = backend.speed_range
        options = SpeechOptions(self.registry.voice(entry, voice), min(max(wanted, low), high), language)
        parts = self._parts(text, backend)
        return await Speech.begin(self._sound(entry.id, entry.backend, parts, options, wanted / options.speed))

    async def load(self, model: str) -> None:
        """Have a model fetched and loaded. Raises SpeechError's children."""
        entry = self.registry.find(model)
        await self._runners[entry.backend].load(entry.id)

    async def unload(self, model: str) -> bool:
        """Let go of a model; False if it was not loaded. Raises SpeechError's children."""
        entry = self.registry.find(model)
        return await self._runners[entry.backend].unload(entry.id)

    async def status(self) -> dict[str, dict[str, Any]]:
        """Tell, per backend, where it runs, whether it answers, and what it has loaded."""
        answers = await asyncio.gather(*(runner.status() for runner in self._runners.values()))
        return {
            name: {"where": self.registry.served[name], "ready": answer is not None, "loaded": (answer or {}).get("loaded", {})}
            for name, answer in zip(self._runners, answers, strict=True)
        }

    async def is_ready(self) -> bool:
        """Tell whether each task that is served has a runner that answers; takes 2 seconds at most."""
        states = await self.status()
        tasks: dict[Task, bool] = {}
        for name, state in states.items():
            task = self.registry.backends[name].task
            tasks[task] = tasks.get(task, False) or state["ready"]
        return bool(tasks) and all(tasks.values())

    def _parts(self, text: str, backend: BackendEntry) -> list[str]:
        if not text.strip():
            raise MissingField("input must not be empty.", param="input")
        if len(text) > self._limits.max_text_chars:
            raise TextTooLong(
                f"input has {len(text)} characters; the limit is {self._limits.max_text_chars}.", param="input"
            )
        longest = backend.piece_chars
        parts = pieces(speakable(text), first_chars=min(FIRST_PIECE_CHARS, longest), piece_chars=longest)
        if not parts:
            raise NothingToSpeak("input holds nothing that can be spoken.", param="input")
        return parts

    async def _sound(
        self, model: str, backend: str, parts: list[str], options: SpeechOptions, stretch: float
    ) -> AsyncGenerator[Audio, None]:
        with self._admitted(backend):
            stretcher: Stretcher | None = None
            for part in parts:
                async with aclosing(self._runners[backend].synthesize(model, part, options)) as sound:
                    async for audio in sound:
                        if stretch == 1.0:
                            yield audio
                            continue
                        stretcher = stretcher or Stretcher(audio.rate, stretch)
                        yield await asyncio.to_thread(stretcher.feed, audio)
            if stretcher is not None:
                yield await asyncio.to_thread(stretcher.feed, Audio(np.zeros(0, np.float32), stretcher.rate), last=True)

    @contextmanager
    def _admitted(self, backend: str) -> Iterator[None]:
        """Count a request in, or raise Overloaded when too many are under way."""
        if self._under_way[backend] >= self._limits.max_queue:
            raise Overloaded("Too many requests are waiting.", retry_after_s=1)
        self._under_way[backend] += 1
        try:
            yield
        finally:
            self._under_way[backend] -= 1


class Speech:
    """Sound as it is made: an async iterator of Audio pieces, all at `rate` Hertz.

    The next piece is synthesised while the last is encoded and sent; `aclose` stops the synthesis.
    """

    rate: int

    def __init__(self, source: AsyncGenerator[Audio, None]) -> None:
        """Use `begin`."""
        self._queue: asyncio.Queue[Audio | SpeechError | None] = asyncio.Queue(LOOK_AHEAD)
        self._task = asyncio.create_task(self._make(source))
        self._next: Audio | SpeechError | None = None
        self._ended = False

    @classmethod
    async def begin(cls, source: AsyncGenerator[Audio, None]) -> Self:
        """Wait for the first piece; a failure before it is raised here."""
        speech = cls(source)
        try:
            first = await speech._queue.get()
        except asyncio.CancelledError:
            await speech.aclose()
            raise
        if isinstance(first, SpeechError):
            raise first
        if first is None:
            raise BackendFailed("The backend made no sound.")
        speech.rate = first.rate
        speech._next = first
        return speech

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Audio:
        item, self._next = self._next, None
        if item is None and not self._ended:
            item = await self._queue.get()
        if isinstance(item, Audio):
            return item
        self._ended = True
        if item is None:
            raise StopAsyncIteration
        raise item

    async def aclose(self) -> None:
        """Stop the synthesis; safe to call again, and after the end."""
        self._ended = True
        self._next = None
        self._task.cancel()
        await asyncio.wait({self._task})

    async def _make(self, source: AsyncGenerator[Audio, None]) -> None:
        # Stands unless a better ending is known: whatever happens here, the listener must not wait for ever.
        end: SpeechError | None = BackendFailed("The speech could not be completed.")
        try:
            async with aclosing(source):
                async for audio in source:
                    await self._queue.put(audio)
            end = None
        except SpeechError as error:
            end = error
        finally:
            if not self._ended:
                await self._queue.put(end)
