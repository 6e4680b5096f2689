"""The one path from every door to a backend: `transcribe()`, `listen()` and `speak()`."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from open_speech.audio import Audio
from open_speech.backends import (
    STT_RATE,
    BackendEntry,
    DiarizeOptions,
    ModelEntry,
    SpeechOptions,
    Task,
    TranscribeOptions,
    Vad,
    Window,
)
from open_speech.cleaning import Cleaning, clean_blocks
from open_speech.codecs import Stretcher, blocks, collect
from open_speech.cutting import Cutting
from open_speech.errors import MissingField, NothingToSpeak, OutOfRange, Overloaded, TextTooLong, UnsupportedValue
from open_speech.listening import Hear, Items, Listening, by_windows, vote
from open_speech.registry import Registry
from open_speech.remote import RunnerClient
from open_speech.speakers import assign
from open_speech.speaking import Speech
from open_speech.text import pieces, speakable
from open_speech.transcript import Transcript
from open_speech.vad import FRAME, VAD_RATE, SpeechModel
from open_speech.windows import Cutter

FIRST_PIECE_CHARS = 80
"""Characters of the first piece of a text at most, where a clause ends in time: sound should start soon."""
DECODERS = 2
"""Uploads decoded at once."""
MIN_SPEED, MAX_SPEED = 0.25, 4.0
DETECT_WINDOWS, DETECT_APART_S = 4, 45.0
"""Windows by which a language is told, and the seconds between the beginnings of two of them."""


@dataclass(frozen=True, slots=True)
class EngineLimits:
    """What one request may ask for, and how many may wait."""

    max_audio_s: float
    max_queue: int
    max_text_chars: int


@dataclass(frozen=True, slots=True)
class Habits:
    """What a request gets that does not say."""

    vad: Vad | None = None
    """None takes whole files, with the silence in them."""
    cleaning: Cleaning = Cleaning()
    speed: float = 1.0


class Engine:
    """Audio to text and text to sound, over whichever backends this server runs."""

    def __init__(
        self,
        registry: Registry,
        runners: Mapping[str, RunnerClient],
        limits: EngineLimits,
        *,
        speech: Callable[[], SpeechModel],
        habits: Habits | None = None,
    ) -> None:
        """`speech` opens the speech detector; it blocks, and is called when the first file comes."""
        self.registry = registry
        self._runners = dict(runners)
        self._limits = limits
        self._speech = speech
        self._habits = habits or Habits()
        self._decoders = ThreadPoolExecutor(DECODERS, thread_name_prefix="decode")
        self._under_way = dict.fromkeys(runners, 0)
        self._askers = itertools.count()

    async def transcribe(  # noqa: PLR0913 - one keyword for each thing a request may say
        self,
        source: bytes | Path,
        model: str,
        options: TranscribeOptions,
        *,
        diarize: DiarizeOptions | None = None,
        clean: Cleaning | None = None,
        raw_rate: int | None = None,
    ) -> Transcript:
        """Transcribe an upload and give the whole of it; takes and raises what `listen` does."""
        listening = await self.listen(source, model, options, diarize=diarize, clean=clean, raw_rate=raw_rate)
        return await listening.whole()

    async def listen(  # noqa: PLR0913 - as above
        self,
        source: bytes | Path,
        model: str,
        options: TranscribeOptions,
        *,
        diarize: DiarizeOptions | None = None,
        clean: Cleaning | None = None,
        raw_rate: int | None = None,
    ) -> Listening:
        """Transcribe an upload, segment by segment: begun before this returns, so errors come first.

        `source` is a media file in any supported format, or with `raw_rate` headerless s16le mono PCM at that rate. With `diarize` the
        segments come when the speakers of the whole file are known. Raises SpeechError's children, each naming the field at fault.
        """
        entry = self.registry.find(model, Task.STT)
        sound = partial(self._blocks, source, clean or self._habits.cleaning, raw_rate)
        if diarize is None:
            return await Listening.begin(self._items(entry, sound, options))
        return await Listening.begin(self._told_apart(entry, self._diarizer(), sound, options, diarize))

    async def detect_language(
        self, source: bytes | Path, model: str, *, raw_rate: int | None = None, languages: tuple[str, ...] = ()
    ) -> tuple[str, float]:
        """Name the language spoken in an upload, by several windows of it: its ISO-639-1 code and its probability.

        A model of one language names that one. Silence gives `en` at 0. Raises what `listen` does.
        """
        entry = self.registry.find(model, Task.STT)
        if len(entry.languages) == 1:
            return entry.languages[0], 1.0
        options = TranscribeOptions(languages=languages, detect_only=True)
        with self._admitted(entry.backend):
            cutting = await self._cutting(entry, self._blocks(source, self._habits.cleaning, raw_rate), options)
            windows = await asyncio.get_running_loop().run_in_executor(self._decoders, _far_apart, cutting)
            hear = self._hear(entry)
            heard = await asyncio.gather(*(hear(Window(sound, options)) for sound in windows))
        return vote((sound.seconds, result) for sound, result in zip(windows, heard, strict=True)) or ("en", 0.0)

    async def speak(
        self, model: str, text: str, *, voice: str | None = None, speed: float | None = None, language: str | None = None
    ) -> Speech:
        """Speak a text: the answer is an iterator of sound, begun before this returns, so errors come first.

        Raises SpeechError's children, each naming the field at fault.
        """
        entry = self.registry.find(model, Task.TTS)
        backend = self.registry.backends[entry.backend]
        wanted = self._habits.speed if speed is None else speed
        if not MIN_SPEED <= wanted <= MAX_SPEED:
            raise OutOfRange(f"speed must be between {MIN_SPEED} and {MAX_SPEED}.", param="speed")
        low, high = backend.speed_range
        options = SpeechOptions(self.registry.voice(entry, voice), min(max(wanted, low), high), language)
        parts = self._parts(text, backend)
        return await Speech.begin(self._sound(entry, parts, options, wanted / options.speed))

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

    def _blocks(self, source: bytes | Path, clean: Cleaning, raw_rate: int | None) -> Iterable[Audio]:
        return clean_blocks(blocks(source, STT_RATE, max_seconds=self._limits.max_audio_s, raw_rate=raw_rate), clean)

    async def _items(self, entry: ModelEntry, sound: Callable[[], Iterable[Audio]], options: TranscribeOptions) -> Items:
        """Transcribe in the way that fits the backend and the request: window by window, or the whole in one."""
        runner = self._runners[entry.backend]
        vad = options.vad or self._habits.vad
        whole = options.sequential or options.condition_on_previous_text
        with self._admitted(entry.backend):
            if self.registry.backends[entry.backend].batch and vad is not None and not whole:
                cutting = await self._cutting(entry, sound(), options)
                items = by_windows(cutting, options, self._hear(entry), self._decoders)
            else:
                audio = await asyncio.get_running_loop().run_in_executor(self._decoders, lambda: collect(sound(), STT_RATE))
                items = runner.transcribe(entry.id, audio, replace(options, vad=None if options.sequential else vad))
            async with aclosing(items):
                async for item in items:
                    yield item

    async def _told_apart(
        self, entry: ModelEntry, diarizer: ModelEntry, sound: Callable[[], Iterable[Audio]], options: TranscribeOptions, how: DiarizeOptions
    ) -> Items:
        """Transcribe and tell speakers apart side by side; the segments come when both are done."""
        audio = await asyncio.get_running_loop().run_in_executor(self._decoders, lambda: collect(sound(), STT_RATE))
        with self._admitted(diarizer.backend):
            turns = asyncio.ensure_future(self._runners[diarizer.backend].diarize(diarizer.id, audio, how))
            try:
                heard = await (await Listening.begin(self._items(entry, lambda: [audio], options))).whole()
                transcript = assign(heard, await turns)
            finally:
                turns.cancel()
        yield transcript.info
        for segment in transcript.segments:
            yield segment
        yield replace(transcript.info, duration=audio.seconds)

    def _diarizer(self) -> ModelEntry:
        models = self.registry.models(Task.DIARIZE)
        if not models:
            raise UnsupportedValue(
                "This server does not tell speakers apart: it needs a backend for it, named in STT_DIARIZE_BACKENDS.", param="diarize"
            )
        return models[0]

    async def _cutting(self, entry: ModelEntry, sound: Iterable[Audio], options: TranscribeOptions) -> Cutting:
        speech = await asyncio.get_running_loop().run_in_executor(self._decoders, self._speech)
        vad = options.vad or self._habits.vad or Vad()
        cutter = Cutter(vad, FRAME / VAD_RATE, longest_s=self.registry.backends[entry.backend].window_s)
        return Cutting(sound, speech.stream(), cutter)

    def _hear(self, entry: ModelEntry) -> Hear:
        runner, asker = self._runners[entry.backend], f"file-{next(self._askers)}"
        return lambda window: runner.hear(entry.id, window, asker=asker)

    def _parts(self, text: str, backend: BackendEntry) -> list[str]:
        if not text.strip():
            raise MissingField("input must not be empty.", param="input")
        if len(text) > self._limits.max_text_chars:
            raise TextTooLong(f"input has {len(text)} characters; the limit is {self._limits.max_text_chars}.", param="input")
        longest = backend.piece_chars
        parts = pieces(speakable(text), first_chars=min(FIRST_PIECE_CHARS, longest), piece_chars=longest)
        if not parts:
            raise NothingToSpeak("input holds nothing that can be spoken.", param="input")
        return parts

    async def _sound(self, entry: ModelEntry, parts: list[str], options: SpeechOptions, stretch: float) -> AsyncGenerator[Audio, None]:
        with self._admitted(entry.backend):
            stretcher: Stretcher | None = None
            for part in parts:
                async with aclosing(self._runners[entry.backend].synthesize(entry.id, part, options)) as sound:
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


def _far_apart(cutting: Cutting) -> list[Audio]:
    """Take a few windows from the beginning of an audio, some time apart."""
    chosen: list[Audio] = []
    last = float("-inf")
    for cut, sound in cutting:
        if cut.start - last >= DETECT_APART_S:
            chosen.append(sound)
            last = cut.start
        if len(chosen) == DETECT_WINDOWS:
            break
    return chosen
