"""The one path from every door to a backend: `transcribe()`, `listen()` and `speak()`."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, Unpack

from open_speech import script, ssml
from open_speech.audio import Audio
from open_speech.backends import (
    STT_RATE,
    DiarizeOptions,
    ModelEntry,
    SpeechOptions,
    Task,
    TranscribeOptions,
    Vad,
    Window,
)
from open_speech.cache import Place, SpeechCache
from open_speech.cleaning import Cleaning, clean_blocks
from open_speech.codecs import blocks, collect
from open_speech.cutting import Cutting
from open_speech.delivery import Director
from open_speech.errors import MissingField, OutOfRange, Overloaded, TextTooLong, UnsupportedValue
from open_speech.listening import Hear, Items, Listening, by_windows, vote
from open_speech.performing import Part, Piece, PieceCutting, Sound, Synthesize, one_by_one, parts_of, tagged
from open_speech.polish import Finish, polished, prepared
from open_speech.pronunciation import Pronunciation, Rules
from open_speech.reading import MAX_RATE, MIN_RATE, Reading, Wishes
from open_speech.registry import Registry
from open_speech.remote import RunnerClient
from open_speech.script import Flush, Say, Step
from open_speech.speakers import assign
from open_speech.speaking import Cue, Speech
from open_speech.spoken import spoken
from open_speech.transcript import Transcript
from open_speech.vad import FRAME, VAD_RATE, SpeechModel
from open_speech.voices import Casting, Manner, Role
from open_speech.windows import Cutter

FIRST_PIECE_CHARS = 80
"""Characters of the first piece of a text at most, where a clause ends in time: sound should start soon."""
DECODERS = 2
"""Uploads decoded at once."""
LONGEST_TEXT_CHARS = 1_000_000
"""Characters of one text, for callers that may bring long ones."""
LONG_TEXT_CHARS = 20_000
"""Longer ones are read off the event loop."""
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
    finish: Finish = Finish()


class Engine:
    """Audio to text and text to sound, over whichever backends this server runs."""

    def __init__(  # noqa: PLR0913 - one keyword for each part that a server may have or not
        self,
        registry: Registry,
        runners: Mapping[str, RunnerClient],
        limits: EngineLimits,
        *,
        speech: Callable[[], SpeechModel],
        habits: Habits | None = None,
        casting: Casting | None = None,
        cache: SpeechCache | None = None,
        pronunciation: Pronunciation | None = None,
    ) -> None:
        """`speech` opens the speech detector; it blocks, and is called when the first file comes.

        `casting` knows voices beyond those of the models; without it there are none. Without `cache` all speech is made anew.
        """
        self.cache = cache
        self.pronunciation = pronunciation or Pronunciation()
        self.registry = registry
        self.casting = casting or Casting(registry)
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

    async def speak(self, model: str, text: str, **wishes: Unpack[Wishes]) -> Speech:
        """Speak a text: the answer is an iterator of sound, begun before this returns, so errors come first.

        The text may hold tags (script.py), or be SSML. Raises SpeechError's children, each naming the field at fault.
        """
        return await self.perform(await self.read(model, text, **wishes))

    async def read(self, model: str, text: str, **wishes: Unpack[Wishes]) -> Reading:
        """Decide how a text is spoken, and speak nothing yet; takes and raises what `speak` does, but for what comes of the speaking."""
        role = await self.casting.role(
            model,
            wishes.get("voice"),
            wishes.get("manner") or Manner(),
            speed=wishes.get("speed"),
            language=wishes.get("language"),
        )
        limit = LONGEST_TEXT_CHARS if wishes.get("long") else self._limits.max_text_chars
        director = await self._director(role)
        steps = await self._steps(role, director, text, wishes.get("input_type"), limit)
        for step in {replace(step, text="") for step in steps if isinstance(step, Say)}:
            director.delivery(step)  # an error in the midst of the text comes before its first sound, too
        return Reading(role, director, steps, self._finish(wishes.get("rate")), wishes.get("cache", True))

    async def perform(self, reading: Reading) -> Speech:
        """Speak what was read; returns with the first sound. Raises SpeechError's children."""
        steps = one_by_one(reading.steps)
        return await self._perform(reading.role, reading.director, steps, reading.finish, cached=reading.cached)

    async def place(self, reading: Reading, form: str) -> Place | None:
        """Tell where the cache has the whole speech in a form, or will have it; None if it is not to be kept, or nothing is."""
        if self.cache is None or not reading.cached:
            return None
        cutting = self._cutting_of(reading.role.model, reading.director)
        parts = await asyncio.to_thread(lambda: [part for step in (*reading.steps, Flush()) for part in cutting.feed(step)])
        options = [part.delivery.options for part in parts if isinstance(part, Piece)]
        return await self.cache.place(reading.role.model, options, form, reading.finish, parts)

    async def speak_stream(  # noqa: PLR0913 - as above
        self,
        model: str,
        fragments: AsyncIterator[str | None],
        *,
        voice: str | None = None,
        speed: float | None = None,
        language: str | None = None,
        rate: int | None = None,
    ) -> Speech:
        """Speak a text while it is written: each sentence as soon as it is complete; returns with the first sound.

        Fragments are cut anywhere, even within tags; None speaks what is there. Closing the speech leaves the iterator where it is.
        Raises as `speak`.
        """
        role = await self.casting.role(model, voice, Manner(), speed=speed, language=language)
        return await self._perform(role, await self._director(role), tagged(fragments), self._finish(rate), cached=True)

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

    async def _steps(self, role: Role, director: Director, text: str, kind: Literal["text", "ssml"] | None, limit: int) -> list[Step]:
        if not text.strip():
            raise MissingField("input must not be empty.", param="input")
        if len(text) > limit:
            raise TextTooLong(f"input has {len(text)} characters; the limit is {limit}.", param="input")
        read = script.steps_of
        if kind == "ssml" or (kind is None and ssml.is_ssml(text)):
            phonemes = self.registry.backends[role.model.backend].phonemes
            read = partial(ssml.steps_of, phonemes=phonemes, language=director.language)
        return read(text) if len(text) < LONG_TEXT_CHARS else await asyncio.to_thread(read, text)

    async def _director(self, role: Role) -> Director:
        rules = await self.pronunciation.rules()
        speed = self._habits.speed if role.speed is None else role.speed
        options = SpeechOptions(role.voice, speed, role.language, role.reference, role.design, role.instructions)
        backend = self.registry.backends[role.model.backend]
        voice, rewrite = partial(self.casting.voice, role.model), partial(_as_said, rules, backend.phonemes)
        return Director(role.model, backend, options, voice=voice, rewrite=rewrite)

    def _finish(self, rate: int | None) -> Finish:
        if rate is not None and not MIN_RATE <= rate <= MAX_RATE:
            raise OutOfRange(f"sample_rate must be between {MIN_RATE} and {MAX_RATE}.", param="sample_rate")
        return replace(self._habits.finish, rate=rate)

    def _cutting_of(self, entry: ModelEntry, director: Director) -> PieceCutting:
        longest = self.registry.backends[entry.backend].piece_chars
        return PieceCutting(director.delivery, first_chars=min(FIRST_PIECE_CHARS, longest), piece_chars=longest)

    async def _perform(
        self, role: Role, director: Director, steps: AsyncGenerator[Step, None], finish: Finish, *, cached: bool
    ) -> Speech:
        cues: list[Cue] = []
        parts = parts_of(steps, self._cutting_of(role.model, director))
        return await Speech.begin(self._sound(role.model, parts, cues, finish, cached=cached), cues)

    async def _sound(
        self, entry: ModelEntry, parts: AsyncGenerator[Part, None], cues: list[Cue], finish: Finish, *, cached: bool
    ) -> AsyncGenerator[Audio, None]:
        synthesize: Synthesize = partial(self._runners[entry.backend].synthesize, entry.id)
        if self.cache is not None and cached:
            synthesize = self.cache.recalled(entry, synthesize)
        with self._admitted(entry.backend):
            async with aclosing(polished(Sound(prepared(synthesize, finish), cues).of(parts), finish)) as made:
                async for audio in made:
                    yield audio

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


def _as_said(rules: Rules, phonemes: bool, text: str, language: str) -> str:
    """Rewrite a sentence as it is said: what the dictionary knows first, then numbers and the like."""
    return spoken(rules.rewrite(text, language, phonemes=phonemes), language)


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
