"""The one path from every door to a backend: `transcribe()`, `listen()` and `speak()`."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, Unpack

from open_speech import script, ssml
from open_speech.admission import Admission, Ticket
from open_speech.audio import Audio
from open_speech.backends import (
    STT_RATE,
    DiarizeOptions,
    Heard,
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
from open_speech.cutting import Cutting, far_apart
from open_speech.delivery import Director
from open_speech.errors import MissingField, OutOfRange, TextTooLong, UnsupportedValue
from open_speech.listening import IN_FLIGHT, Hear, Items, Listening, by_windows, vote
from open_speech.live.ear import Ear, Ears
from open_speech.metrics.meter import Meter
from open_speech.performing import Part, Piece, PieceCutting, Sound, Synthesize, one_by_one, parts_of, tagged
from open_speech.polish import Finish, polished, prepared
from open_speech.pronunciation import Pronunciation, Rules
from open_speech.readiness import is_enough, states
from open_speech.reading import MAX_RATE, MIN_RATE, Reading, Wishes
from open_speech.registry import Registry
from open_speech.remote import RunnerClient
from open_speech.resuming import sound_after
from open_speech.script import Flush, Say, Step
from open_speech.speakers import assign
from open_speech.speaking import Cue, Speech
from open_speech.spoken import spoken
from open_speech.transcript import Transcript
from open_speech.vad import FRAME, VAD_RATE, SpeechModel, SpeechStream
from open_speech.voices import Casting, Manner, Role
from open_speech.windows import Cutter
from open_speech.wire import FILE, LIVE

FIRST_PIECE_CHARS = 80
"""Characters of the first piece of a text at most, where a clause ends in time: sound should start soon."""
DECODERS = 2
"""Uploads decoded at once."""
LONGEST_TEXT_CHARS = 1_000_000
"""Characters of one text, for callers that may bring long ones."""
LONG_TEXT_CHARS = 20_000
"""Longer ones are read off the event loop."""


@dataclass(frozen=True, slots=True)
class EngineLimits:
    """What one request may ask for, and how many may wait."""

    max_audio_s: float
    max_queue: int
    max_text_chars: int
    patience_s: float = 30.0
    """Seconds that a request may wait for its turn."""


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
        meter: Meter | None = None,
    ) -> None:
        """`speech` opens the speech detector; it blocks, and is called when the first file comes.

        `casting` knows voices beyond those of the models; without it there are none. Without `cache` all speech is made anew.
        """
        self.cache = cache
        self.pronunciation = pronunciation or Pronunciation()
        self.registry = registry
        self.casting = casting or Casting(registry)
        self.runners = dict(runners)
        self.meter = meter or Meter()
        self.meter.learn(registry)
        self._limits = limits
        self._speech = speech
        self._habits = habits or Habits()
        self._decoders = ThreadPoolExecutor(DECODERS, thread_name_prefix="decode")
        self.admission = Admission(
            runners,
            max_queue=limits.max_queue,
            patience_s=limits.patience_s,
            at_once={name: 2 * registry.backends[name].batch for name in runners},
        )
        self._askers = itertools.count()
        self._ears = Ears(registry, self.runners, speech, self._habits.vad, self.admission, meter=self.meter, longest_s=limits.max_audio_s)

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
        start_s: float = 0.0,
    ) -> Listening:
        """Transcribe an upload, segment by segment: begun before this returns, so errors come first.

        `source` is a media file in any supported format, or with `raw_rate` headerless s16le mono PCM at that rate. It is heard from
        `start_s` seconds on, and times count from there. With `diarize` the segments come when the speakers of the whole file are known.
        Raises SpeechError's children, each naming the field at fault.
        """
        entry = self.registry.find(model, Task.STT)
        sound = partial(self._blocks, source, clean or self._habits.cleaning, raw_rate, start_s)
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
        with self.admission.ticket(entry.backend) as ticket:
            cutting = await self._cutting(entry, self._blocks(source, self._habits.cleaning, raw_rate), options)
            windows = await asyncio.get_running_loop().run_in_executor(self._decoders, far_apart, cutting)
            hear = self._hear(entry, ticket)
            heard = await asyncio.gather(*(hear(Window(sound, options)) for sound in windows))
        return vote((sound.seconds, result) for sound, result in zip(windows, heard, strict=True)) or ("en", 0.0)

    async def ear(self, model: str, options: TranscribeOptions) -> Ear:
        """Find a model to listen with, live. Raises SpeechError's children naming `model` or `language`."""
        return await self._ears.ear(model, options)

    async def detector(self) -> SpeechStream:
        """Begin to listen for speech in one live stream; the speech model is opened off the event loop."""
        return await self._ears.detector()

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
        live, cached = wishes.get("live", False), wishes.get("cache", True)
        return Reading(role, director, steps, self._finish(wishes.get("rate")), cached, live)

    async def perform(self, reading: Reading) -> Speech:
        """Speak what was read; returns with the first sound. Raises SpeechError's children."""
        steps = one_by_one(reading.steps)
        return await self._perform(reading.role, reading.director, steps, reading.finish, cached=reading.cached, live=reading.live)

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
        manner: Manner | None = None,
        rate: int | None = None,
    ) -> Speech:
        """Speak a text while it is written: each sentence as soon as it is complete; returns with the first sound.

        Fragments are cut anywhere, even within tags; None speaks what is there. Closing the speech leaves the iterator where it is.
        Raises as `speak`.
        """
        role = await self.casting.role(model, voice, manner or Manner(), speed=speed, language=language)
        return await self._perform(role, await self._director(role), tagged(fragments), self._finish(rate), cached=True, live=True)

    async def load(self, model: str) -> None:
        """Have a model fetched and loaded. Raises SpeechError's children."""
        entry = self.registry.find(model)
        await self.runners[entry.backend].load(entry.id)

    async def unload(self, model: str) -> bool:
        """Let go of a model; False if it was not loaded. Raises SpeechError's children."""
        entry = self.registry.find(model)
        return await self.runners[entry.backend].unload(entry.id)

    async def status(self) -> dict[str, dict[str, Any]]:
        """Tell how each backend is; see readiness.py."""
        return await states(self.registry, self.runners, self.admission)

    async def is_ready(self) -> bool:
        """Tell whether new requests can be served; takes 2 seconds at most."""
        return not self.admission.is_closed and is_enough(self.registry, await self.status())

    def _blocks(self, source: bytes | Path, clean: Cleaning, raw_rate: int | None, start_s: float = 0.0) -> Iterable[Audio]:
        whole = clean_blocks(blocks(source, STT_RATE, max_seconds=self._limits.max_audio_s, raw_rate=raw_rate), clean)
        return sound_after(whole, start_s) if start_s else whole

    async def _items(self, entry: ModelEntry, sound: Callable[[], Iterable[Audio]], options: TranscribeOptions) -> Items:
        """Transcribe in the way that fits the backend and the request: window by window, or the whole in one."""
        runner = self.runners[entry.backend]
        vad = options.vad or self._habits.vad
        whole = options.sequential or options.condition_on_previous_text
        with self.admission.ticket(entry.backend, answers=IN_FLIGHT) as ticket:
            if self.registry.backends[entry.backend].batch and vad is not None and not whole:
                cutting = await self._cutting(entry, sound(), options)
                items = by_windows(cutting, options, self._hear(entry, ticket), self._decoders)
            else:
                audio = await asyncio.get_running_loop().run_in_executor(self._decoders, lambda: collect(sound(), STT_RATE))
                asked = replace(options, vad=None if options.sequential else vad)
                items = self._answering(runner.transcribe(entry.id, audio, asked, patience_s=ticket.patience_s()), ticket)
            async with aclosing(self.meter.transcribed(entry.id, items)) as measured:
                async for item in measured:
                    yield item

    async def _told_apart(
        self, entry: ModelEntry, diarizer: ModelEntry, sound: Callable[[], Iterable[Audio]], options: TranscribeOptions, how: DiarizeOptions
    ) -> Items:
        """Transcribe and tell speakers apart side by side; the segments come when both are done."""
        audio = await asyncio.get_running_loop().run_in_executor(self._decoders, lambda: collect(sound(), STT_RATE))
        with self.admission.ticket(diarizer.backend):
            turns = asyncio.ensure_future(self.runners[diarizer.backend].diarize(diarizer.id, audio, how))
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

    def _hear(self, entry: ModelEntry, ticket: Ticket) -> Hear:
        runner, asker = self.runners[entry.backend], f"file-{next(self._askers)}"

        async def hear(window: Window) -> Heard:
            heard = await runner.hear(entry.id, window, asker=asker, patience_s=ticket.patience_s())
            ticket.answered()
            return heard

        return hear

    async def _answering(self, items: Items, ticket: Ticket) -> Items:
        async with aclosing(items):
            async for item in items:
                ticket.answered()
                yield item

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

    async def _perform(  # noqa: PLR0913 - as above
        self, role: Role, director: Director, steps: AsyncGenerator[Step, None], finish: Finish, *, cached: bool, live: bool
    ) -> Speech:
        cues: list[Cue] = []
        parts = parts_of(self.meter.read(role.model.id, steps), self._cutting_of(role.model, director))
        return await Speech.begin(self._sound(role.model, parts, cues, finish, cached=cached, live=live), cues)

    async def _sound(  # noqa: PLR0913 - as above
        self, entry: ModelEntry, parts: AsyncGenerator[Part, None], cues: list[Cue], finish: Finish, *, cached: bool, live: bool
    ) -> AsyncGenerator[Audio, None]:
        with self.admission.ticket(entry.backend, live=live) as ticket:
            synthesize = self._synthesize(entry, ticket, LIVE if live else FILE)
            if self.cache is not None and cached:
                synthesize = self.cache.recalled(entry, synthesize)
            sound = polished(Sound(prepared(synthesize, finish), cues).of(parts), finish)
            async with aclosing(self.meter.spoken(entry.id, sound)) as made:
                async for audio in made:
                    ticket.answered()
                    yield audio

    def _synthesize(self, entry: ModelEntry, ticket: Ticket, urgency: int) -> Synthesize:
        runner = self.runners[entry.backend]
        return lambda text, options: runner.synthesize(entry.id, text, options, urgency=urgency, patience_s=ticket.patience_s())


def _as_said(rules: Rules, phonemes: bool, text: str, language: str) -> str:
    """Rewrite a sentence as it is said: what the dictionary knows first, then numbers and the like."""
    return spoken(rules.rewrite(text, language, phonemes=phonemes), language)
