"""The one path from every API to a backend: `transcribe()`, `listen()` and `speak()`."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, Unpack

from open_speech.audio import Audio
from open_speech.backends import STT_RATE, DiarizeOptions, Heard, ModelEntry, SpeechOptions, Task, TranscribeOptions, Vad, Window
from open_speech.codecs import blocks, collect, survey
from open_speech.dispatch.admission import Admission, Ticket
from open_speech.dispatch.client import RunnerClient
from open_speech.dispatch.frames import FILE, LIVE
from open_speech.dispatch.readiness import is_enough, states
from open_speech.engine_options import EngineDefaults, EngineLimits
from open_speech.errors import MissingField, OutOfRange, TextTooLong, UnsupportedValue
from open_speech.metrics.meter import Meter
from open_speech.recognition.channels import ChannelMode, merged, separated
from open_speech.recognition.denoise import Cleaning, clean_blocks
from open_speech.recognition.diarization import assign
from open_speech.recognition.live.recognizer import LiveRecognizer, LiveRecognizers
from open_speech.recognition.resume import sound_after
from open_speech.recognition.segmentation import Cutting, far_apart
from open_speech.recognition.transcription import IN_FLIGHT, Hear, Items, TranscriptionStream, by_windows, vote
from open_speech.recognition.vad import FRAME, VAD_RATE, SpeechModel, SpeechProbabilities
from open_speech.recognition.windows import WindowCutter
from open_speech.registry import UNHEARD_RATE, Registry
from open_speech.synthesis.cache import Place, SpeechCache
from open_speech.synthesis.legibility import Legibility
from open_speech.synthesis.pipeline import Chunking, Part, Piece, Sound, Synthesize, one_by_one, parts_of, silent_without_words, tagged
from open_speech.synthesis.plan import MAX_RATE, MIN_RATE, SpeechPlan, SpeechRequest
from open_speech.synthesis.postprocess import Finish, polished, prepared
from open_speech.synthesis.prosody import ProsodyResolver
from open_speech.synthesis.stream import Cue, SpeechStream
from open_speech.text import ssml
from open_speech.text.pronunciation import Pronunciation, as_said
from open_speech.text.steps import Flush, Say, Step, steps_of
from open_speech.transcript import Transcript
from open_speech.voices import ResolvedVoice, VoiceOptions, VoiceResolver

FIRST_PIECE_CHARS = 80
"""Characters of the first piece of a text at most, where a clause ends in time: sound should start soon."""
DECODERS = 2
"""Uploads decoded at once."""
LONGEST_TEXT_CHARS = 1_000_000
"""Characters of one text, for callers that may bring long ones."""
LONG_TEXT_CHARS = 20_000
"""Longer ones are read off the event loop."""


class Engine:
    """Audio to text and text to sound, over whichever backends this server runs."""

    def __init__(  # noqa: PLR0913 - one keyword for each part that a server may have or not
        self,
        registry: Registry,
        runners: Mapping[str, RunnerClient],
        limits: EngineLimits,
        *,
        speech: Callable[[], SpeechModel],
        defaults: EngineDefaults | None = None,
        casting: VoiceResolver | None = None,
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
        self.casting = casting or VoiceResolver(registry)
        self.runners = dict(runners)
        self.meter = meter or Meter()
        self.meter.learn(registry)
        self._limits = limits
        self._speech = speech
        self._defaults = defaults or EngineDefaults()
        self._decoders = ThreadPoolExecutor(DECODERS, thread_name_prefix="decode")
        self.admission = Admission(
            runners,
            max_queue=limits.max_queue,
            patience_s=limits.patience_s,
            at_once={name: 2 * registry.backends[name].batch for name in runners},
        )
        self._askers = itertools.count()
        self._ears = LiveRecognizers(
            registry, self.runners, speech, self._defaults.vad, self.admission, meter=self.meter, longest_s=limits.max_audio_s
        )

    async def transcribe(  # noqa: PLR0913 - one keyword for each thing a request may say
        self,
        source: bytes | Path,
        model: str,
        options: TranscribeOptions,
        *,
        diarize: DiarizeOptions | None = None,
        clean: Cleaning | None = None,
        raw_rate: int | None = None,
        channels: ChannelMode = "mix",
    ) -> Transcript:
        """Transcribe an upload and give the whole of it; takes and raises what `listen` does."""
        listening = await self.listen(source, model, options, diarize=diarize, clean=clean, raw_rate=raw_rate, channels=channels)
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
        channels: ChannelMode = "mix",
    ) -> TranscriptionStream:
        """Transcribe an upload, segment by segment: begun before this returns, so errors come first.

        `source` is a media file in any supported format, or with `raw_rate` headerless s16le mono PCM at that rate. It is heard from
        `start_s` seconds on, and times count from there. With `diarize` the segments come when the speakers of the whole file are known.
        Where `channels` has channels transcribed apart, each of them is a speaker, and `diarize` is not needed.
        Raises SpeechError's children, each naming the field at fault.
        """
        entry = await self.usable(model, Task.STT)
        sound = partial(self._blocks, source, clean or self._defaults.cleaning, raw_rate, start_s)
        if apart := await self._apart(source, raw_rate, channels):
            return await TranscriptionStream.begin(
                merged([self._items(entry, partial(sound, channel), options) for channel in range(apart)])
            )
        if diarize is None:
            return await TranscriptionStream.begin(self._items(entry, sound, options))
        return await TranscriptionStream.begin(self._told_apart(entry, self._diarizer(), sound, options, diarize))

    async def detect_language(
        self, source: bytes | Path, model: str, *, raw_rate: int | None = None, languages: tuple[str, ...] = ()
    ) -> tuple[str, float]:
        """Name the language spoken in an upload, by several windows of it: its ISO-639-1 code and its probability.

        A model of one language names that one. Silence gives `en` at 0. Raises what `listen` does.
        """
        entry = await self.usable(model, Task.STT)
        if len(entry.languages) == 1:
            return entry.languages[0], 1.0
        options = TranscribeOptions(languages=languages, detect_only=True)
        with self.admission.ticket(entry.backend) as ticket:
            cutting = await self._cutting(entry, self._blocks(source, self._defaults.cleaning, raw_rate), options)
            windows = await asyncio.get_running_loop().run_in_executor(self._decoders, far_apart, cutting)
            hear = self._hear(entry, ticket)
            heard = await asyncio.gather(*(hear(Window(sound, options)) for sound in windows))
        return vote((sound.seconds, result) for sound, result in zip(windows, heard, strict=True)) or ("en", 0.0)

    async def usable(self, model: str, task: Task | None = None) -> ModelEntry:
        """Find a model that is installed or may be downloaded for a request. Raises what Registry.find does, and PullNotAllowed."""
        entry = self.registry.find(model, task)
        await self.runners[entry.backend].require(entry.id)
        return entry

    async def ear(self, model: str, options: TranscribeOptions) -> LiveRecognizer:
        """Find a model to listen with, live. Raises SpeechError's children naming `model` or `language`."""
        await self.usable(model, Task.STT)
        return await self._ears.ear(model, options)

    async def detector(self) -> SpeechProbabilities:
        """Begin to listen for speech in one live stream; the speech model is opened off the event loop."""
        return await self._ears.detector()

    async def speak(self, model: str, text: str, **wishes: Unpack[SpeechRequest]) -> SpeechStream:
        """Speak a text: the answer is an iterator of sound, begun before this returns, so errors come first.

        The text may hold tags (text/steps.py), or be SSML. Raises SpeechError's children, each naming the field at fault.
        """
        return await self.perform(await self.read(model, text, **wishes))

    async def read(self, model: str, text: str, **wishes: Unpack[SpeechRequest]) -> SpeechPlan:
        """Decide how a text is spoken, and speak nothing yet; takes and raises what `speak` does, but for what comes of the speaking."""
        role = await self.casting.role(
            model,
            wishes.get("voice"),
            wishes.get("manner") or VoiceOptions(),
            speed=wishes.get("speed"),
            language=wishes.get("language"),
        )
        limit = LONGEST_TEXT_CHARS if wishes.get("long") else self._limits.max_text_chars
        director = await self._director(role)
        legible = self._legible(role, director)
        steps = legible.steps(await self._steps(role, director, text, wishes.get("input_type"), limit))
        for step in {replace(step, text="") for step in steps if isinstance(step, Say)}:
            director.delivery(step)  # an error in the midst of the text comes before its first sound, too
        live, cached = wishes.get("live", False), wishes.get("cache", True)
        return SpeechPlan(role, director, steps, self._finish(wishes.get("rate")), cached, live, legible.warnings)

    async def perform(self, reading: SpeechPlan) -> SpeechStream:
        """Speak what was read; returns with the first sound. Raises SpeechError's children."""
        return await self._perform(reading, one_by_one(reading.steps))

    async def place(self, reading: SpeechPlan, form: str) -> Place | None:
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
        manner: VoiceOptions | None = None,
        rate: int | None = None,
    ) -> SpeechStream:
        """Speak a text while it is written: each sentence as soon as it is complete; returns with the first sound.

        Fragments are cut anywhere, even within tags; None speaks what is there. Closing the speech leaves the iterator where it is.
        Raises as `speak`.
        """
        role = await self.casting.role(model, voice, manner or VoiceOptions(), speed=speed, language=language)
        director = await self._director(role)
        legible = self._legible(role, director)
        reading = SpeechPlan(role, director, (), self._finish(rate), cached=True, live=True, warnings=legible.warnings)
        return await self._perform(reading, legible.stream(tagged(fragments, phonemes=self._takes_phonemes(role))))

    async def load(self, model: str) -> None:
        """Have a model fetched and loaded. Raises SpeechError's children."""
        entry = self.registry.find(model)
        await self.runners[entry.backend].load(entry.id)

    async def unload(self, model: str) -> bool:
        """Let go of a model; False if it was not loaded. Raises SpeechError's children."""
        entry = self.registry.find(model)
        return await self.runners[entry.backend].unload(entry.id)

    async def status(self) -> dict[str, dict[str, Any]]:
        """Tell how each backend is; see dispatch/readiness.py."""
        return await states(self.registry, self.runners, self.admission)

    async def is_ready(self) -> bool:
        """Tell whether new requests can be served; takes 2 seconds at most."""
        return not self.admission.is_closed and is_enough(self.registry, await self.status())

    def _blocks(
        self, source: bytes | Path, clean: Cleaning, raw_rate: int | None, start_s: float = 0.0, channel: int | None = None
    ) -> Iterable[Audio]:
        decoded = blocks(source, STT_RATE, max_seconds=self._limits.max_audio_s, raw_rate=raw_rate, channel=channel)
        whole = clean_blocks(decoded, clean)
        return sound_after(whole, start_s) if start_s else whole

    async def _apart(self, source: bytes | Path, raw_rate: int | None, mode: ChannelMode) -> int:
        """Count the channels of an upload that are transcribed apart; 0 mixes them. Headerless PCM has one."""
        if mode == "mix" or raw_rate is not None:
            return separated(mode, 1, differ=False)
        looked = partial(survey, source, max_seconds=self._limits.max_audio_s)
        found = await asyncio.get_running_loop().run_in_executor(self._decoders, looked)
        return separated(mode, found.channels, found.differ)

    async def _items(self, entry: ModelEntry, sound: Callable[[], Iterable[Audio]], options: TranscribeOptions) -> Items:
        """Transcribe in the way that fits the backend and the request: window by window, or the whole in one."""
        runner = self.runners[entry.backend]
        vad = options.vad or self._defaults.vad
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
                heard = await (await TranscriptionStream.begin(self._items(entry, lambda: [audio], options))).whole()
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
        vad = options.vad or self._defaults.vad or Vad()
        cutter = WindowCutter(vad, FRAME / VAD_RATE, longest_s=self.registry.backends[entry.backend].window_s)
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

    async def _steps(
        self, role: ResolvedVoice, director: ProsodyResolver, text: str, kind: Literal["text", "ssml"] | None, limit: int
    ) -> list[Step]:
        if not text.strip():
            raise MissingField("input must not be empty.", param="input")
        if len(text) > limit:
            raise TextTooLong(f"input has {len(text)} characters; the limit is {limit}.", param="input")
        phonemes = self._takes_phonemes(role)
        read = partial(steps_of, phonemes=phonemes)
        if kind == "ssml" or (kind is None and ssml.is_ssml(text)):
            read = partial(ssml.steps_of, phonemes=phonemes, language=director.language)
        return read(text) if len(text) < LONG_TEXT_CHARS else await asyncio.to_thread(read, text)

    async def _director(self, role: ResolvedVoice) -> ProsodyResolver:
        rules = await self.pronunciation.rules()
        speed = self._defaults.speed if role.speed is None else role.speed
        options = SpeechOptions(role.voice, speed, role.language, role.reference, role.design, role.instructions)
        backend = self.registry.backends[role.model.backend]
        voice, rewrite = partial(self.casting.voice, role.model), partial(as_said, rules, backend.phonemes)
        return ProsodyResolver(role.model, backend, options, voice=voice, rewrite=rewrite)

    def _takes_phonemes(self, role: ResolvedVoice) -> bool:
        return self.registry.backends[role.model.backend].phonemes

    def _legible(self, role: ResolvedVoice, director: ProsodyResolver) -> Legibility:
        return Legibility(role.model, director.speaker, self.registry.models(Task.TTS), scripts=self._defaults.other_scripts)

    def _finish(self, rate: int | None) -> Finish:
        if rate is not None and not MIN_RATE <= rate <= MAX_RATE:
            raise OutOfRange(f"sample_rate must be between {MIN_RATE} and {MAX_RATE}.", param="sample_rate")
        return replace(self._defaults.finish, rate=rate)

    def _cutting_of(self, entry: ModelEntry, director: ProsodyResolver) -> Chunking:
        backend = self.registry.backends[entry.backend]
        return Chunking(director.delivery, FIRST_PIECE_CHARS, backend.piece_chars, backend.breath_chars)

    async def _perform(self, reading: SpeechPlan, steps: AsyncGenerator[Step, None]) -> SpeechStream:
        cues: list[Cue] = []
        model = reading.role.model
        parts = parts_of(self.meter.read(model.id, steps), self._cutting_of(model, reading.director))
        sound = self._sound(model, parts, cues, reading.finish, cached=reading.cached, live=reading.live)
        return await SpeechStream.begin(sound, cues, reading.warnings)

    async def _sound(  # noqa: PLR0913 - as above
        self, entry: ModelEntry, parts: AsyncGenerator[Part, None], cues: list[Cue], finish: Finish, *, cached: bool, live: bool
    ) -> AsyncGenerator[Audio, None]:
        with self.admission.ticket(entry.backend, live=live) as ticket:
            synthesize = self._synthesize(entry, ticket, LIVE if live else FILE)
            if self.cache is not None and cached:
                synthesize = self.cache.recalled(entry, synthesize)
            sound = Sound(prepared(synthesize, finish), cues)
            spoken = polished(sound.of(parts), finish)
            if not live:
                spoken = silent_without_words(spoken, sound, finish.rate or entry.sample_rate or UNHEARD_RATE)
            async with aclosing(self.meter.spoken(entry.id, spoken)) as made:
                async for audio in made:
                    ticket.answered()
                    yield audio

    def _synthesize(self, entry: ModelEntry, ticket: Ticket, urgency: int) -> Synthesize:
        runner = self.runners[entry.backend]
        return lambda text, options: runner.synthesize(entry.id, text, options, urgency=urgency, patience_s=ticket.patience_s())
