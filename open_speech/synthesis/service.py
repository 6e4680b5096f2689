"""Text to speech, the one path from every API: a whole text, a text that is streamed, or an encoded file."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import replace
from functools import partial
from typing import TypeVar

from open_speech import logs
from open_speech.audio import Audio
from open_speech.backends import ModelEntry, SpeechOptions, Task
from open_speech.config.types import AudioFormat
from open_speech.dispatch.admission import Ticket
from open_speech.dispatch.fallback import NO_FALLBACK, Deadline, FallbackChain, FallbackModels
from open_speech.dispatch.frames import FILE, LIVE
from open_speech.dispatch.pool import RunnerPool
from open_speech.errors import MissingField, OutOfRange, TextTooLong
from open_speech.metrics.meter import Meter
from open_speech.registry import OPENAI_VOICES, UNHEARD_RATE
from open_speech.synthesis.cache import CacheEntry, SpeechCache
from open_speech.synthesis.legibility import Legibility
from open_speech.synthesis.other_models import OtherModels, installed
from open_speech.synthesis.pipeline import (
    AudioRenderer,
    Chunking,
    Part,
    Piece,
    Synthesize,
    one_by_one,
    parts_of,
    silent_without_words,
)
from open_speech.synthesis.plan import MAX_RATE, MIN_RATE, SpeechPlan, SynthesisDefaults, SynthesisRequest
from open_speech.synthesis.postprocess import Finish, postprocessed, prepared
from open_speech.synthesis.prosody import ProsodyResolver
from open_speech.synthesis.rendering import Monitor, Rendition, encoded, from_cache
from open_speech.synthesis.replay import ReplayedText
from open_speech.synthesis.stream import Cue, SpeechStream
from open_speech.synthesis.streamed_text import streamed_steps
from open_speech.text import ssml
from open_speech.text.pronunciation import Pronunciation, spoken_sentence
from open_speech.text.steps import Flush, Say, Step, steps_of
from open_speech.voices import ResolvedVoice, VoiceResolver

log = logging.getLogger("open_speech.synthesis")

FIRST_PIECE_CHARS = 80
"""Maximum characters of the first piece of a text, if a clause ends within them: the audio should start soon."""
LONGEST_TEXT_CHARS = 1_000_000
"""Maximum characters of a text that `is_long`."""
LONG_TEXT_CHARS = 20_000
"""Longer texts are parsed off the event loop."""

M = TypeVar("M", bound=Monitor)


class Synthesis:
    """Synthesizes text with whichever backends this server runs."""

    def __init__(  # noqa: PLR0913 - one keyword for each part that a server may have or not
        self,
        pool: RunnerPool,
        defaults: SynthesisDefaults,
        *,
        voices: VoiceResolver,
        cache: SpeechCache | None = None,
        pronunciation: Pronunciation | None = None,
        meter: Meter | None = None,
        fallback: FallbackModels = NO_FALLBACK,
    ) -> None:
        """Without `cache` all speech is synthesized anew; without `pronunciation` no word has a pronunciation of its own.

        Raises what FallbackChain does.
        """
        self.cache = cache
        self.pronunciation = pronunciation or Pronunciation()
        self._pool = pool
        self._defaults = defaults
        self._voices = voices
        self._meter = meter or Meter()
        self._chain = FallbackChain(pool.registry, Task.TTS, fallback, self._meter.fell_back)

    async def speak(self, request: SynthesisRequest) -> SpeechStream:
        """Speak a text. The first audio is available when this returns, so errors are raised first.

        The text may contain tags (text/steps.py), or be SSML. Raises SpeechError's children, each naming the invalid field.
        """
        return await self.perform(await self.plan(request))

    async def plan(self, request: SynthesisRequest) -> SpeechPlan:
        """Plan how a text is spoken, without speaking it. Raises what `speak` does, except for errors of the synthesis itself."""
        plan, legibility = await self._empty_plan(request)
        limit = LONGEST_TEXT_CHARS if request.is_long else self._defaults.max_text_chars
        steps = legibility.steps(await self._steps(request, plan, limit))
        for step in {replace(step, text="") for step in steps if isinstance(step, Say)}:
            plan.prosody.resolve(step)  # an error in the middle of the text is also raised before its first audio
        return replace(plan, steps=steps)

    async def perform(self, plan: SpeechPlan) -> SpeechStream:
        """Speak a plan, by a fallback model if its own model fails before the first audio; return with the first audio.

        Raises SpeechError's children.
        """

        async def begin(entry: ModelEntry, _: Deadline | None = None) -> SpeechStream:
            own = plan if entry.id == plan.voice.model.id or plan.request is None else await self.plan(self._request_for(entry, plan))
            return await self._perform(own, one_by_one(own.steps))

        return await (self._chain.first(plan.voice.model, begin) if may_change_voice(plan.voice) else begin(plan.voice.model))

    async def render(
        self, request: SynthesisRequest, form: AudioFormat, monitor: Callable[[ResolvedVoice], M], *, reuse: bool = True
    ) -> Rendition[M]:
        """Speak a text as a file in `form`; the synthesis begins when the first chunk is read.

        `monitor` returns the monitor for the speech of a voice. With `reuse` the whole file is read from the cache if it is there, and
        stored there at the end. Raises what `plan` does; the chunks raise what `perform` does.
        """
        plan = await self.plan(request)
        observer = monitor(plan.voice)
        entry = await self._cache_entry(plan, form) if reuse else None
        stored = None if entry is None else await entry.find()
        if stored is not None:
            logs.note_answer(plan.voice.model.id)
            return from_cache(stored, plan, observer)
        speakers: list[str] = []

        async def perform(plan: SpeechPlan) -> SpeechStream:
            speech = await self.perform(plan)
            speakers.append(speech.model)
            return speech

        audio = encoded(perform, plan, form, observer)
        if entry is None:
            return Rendition(audio, observer, plan)
        stored_audio = entry.storing(audio, lambda: observer.seconds, lambda: speakers == [plan.voice.model.id])
        return Rendition(stored_audio, observer, plan, "MISS")

    async def speak_stream(self, request: SynthesisRequest, fragments: AsyncIterator[str | None]) -> SpeechStream:
        """Speak a text while it is streamed, each sentence as soon as it is complete; return with the first audio.

        The text may be split anywhere, even within tags; None speaks the text so far. A text that begins as SSML is spoken when the
        document is complete: at None, or at the end. Closing the speech does not close the iterator.
        Raises as `speak`.
        """
        request = replace(request, is_live=True)
        plan, legibility = await self._empty_plan(request)
        if not self._chain or not may_change_voice(plan.voice):
            speech = await self._perform(plan, self._streamed(fragments, plan, legibility))
            logs.note_answer(plan.voice.model.id)
            return speech
        text = ReplayedText(fragments)

        async def begin(entry: ModelEntry, deadline: Deadline) -> SpeechStream:
            own, filtered = plan, legibility
            if entry.id != plan.voice.model.id:
                own, filtered = await self._empty_plan(self._request_for(entry, plan))
            deadline.pause()  # until there is text to speak
            return await self._perform(own, self._streamed(text.read(), own, filtered), deadline)

        try:
            speech = await self._chain.first(plan.voice.model, begin)
        except BaseException:
            text.close()
            raise
        text.forget()
        return speech

    def _streamed(self, fragments: AsyncIterator[str | None], plan: SpeechPlan, legibility: Legibility) -> AsyncGenerator[Step, None]:
        phonemes = self._pool.backend(plan.voice.model).phonemes
        parse = partial(ssml.steps_of, phonemes=phonemes, language=plan.prosody.language)
        kind = plan.request.input_type if plan.request else None
        return legibility.stream(streamed_steps(fragments, kind=kind, parse=parse, phonemes=phonemes, limit=self._defaults.max_text_chars))

    def _request_for(self, entry: ModelEntry, plan: SpeechPlan) -> SynthesisRequest:
        """Return the request of a plan for a fallback model.

        A voice of one model is none of another, so that model speaks with its default voice, in the same language; one of OpenAI's names
        is a voice of every model.
        """
        assert plan.request is not None
        voice = plan.request.voice
        shared = voice if voice is not None and voice.lower() in OPENAI_VOICES else None
        language = plan.request.language or plan.prosody.language.replace("_", "-").partition("-")[0].lower()
        return replace(plan.request, model=entry.id, voice=shared, language=language or None)

    async def _empty_plan(self, request: SynthesisRequest) -> tuple[SpeechPlan, Legibility]:
        """Return a plan without steps, and the legibility filter, which fills the warnings of the plan."""
        voice = await self._voices.resolve(
            request.model, request.voice, request.voice_options, speed=request.speed, language=request.language
        )
        self._pool.permit(voice.model)
        prosody = await self._prosody(voice)
        scripts = self._defaults.other_scripts
        others = self._pool.registry.models(Task.TTS)
        # Only what is on disk: a character in another script must not start a download.
        able = await installed(self._pool, voice.model) if scripts == "voice" and voice.model.sample_rate else []
        legibility = Legibility(voice.model, prosody.speaker, others, scripts=scripts, installed=able)
        for warning in voice.warnings:
            legibility.warnings.append(warning)
            log.warning("%s", warning)
        finish = self._finish(request)
        plan = SpeechPlan(voice, prosody, (), finish, request.cache, request.is_live, legibility.warnings, able, request)
        return plan, legibility

    async def _steps(self, request: SynthesisRequest, plan: SpeechPlan, limit: int) -> list[Step]:
        text, kind = request.text, request.input_type
        if not text.strip():
            raise MissingField("input must not be empty.", param="input")
        if len(text) > limit:
            raise TextTooLong(f"input has {len(text)} characters; the limit is {limit}.", param="input")
        phonemes = self._pool.backend(plan.voice.model).phonemes
        parse = partial(steps_of, phonemes=phonemes)
        if kind == "ssml" or (kind is None and ssml.is_ssml(text)):
            parse = partial(ssml.steps_of, phonemes=phonemes, language=plan.prosody.language)
        return parse(text) if len(text) < LONG_TEXT_CHARS else await asyncio.to_thread(parse, text)

    async def _prosody(self, voice: ResolvedVoice) -> ProsodyResolver:
        rules = await self.pronunciation.rules()
        speed = self._defaults.speed if voice.speed is None else voice.speed
        options = SpeechOptions(voice.voice, speed, voice.language, voice.reference, voice.design, voice.instructions)

        def resolver(entry: ModelEntry, options: SpeechOptions) -> ProsodyResolver:
            backend = self._pool.backend(entry)
            resolve, rewrite = partial(self._voices.voice, entry), partial(spoken_sentence, rules, backend.phonemes)
            return ProsodyResolver(entry, backend, options, voice=resolve, rewrite=rewrite, other=other)

        def other(model: str) -> ProsodyResolver:
            entry = self._pool.registry.find(model)
            return resolver(entry, SpeechOptions(entry.default_voice, speed))

        return resolver(voice.model, options)

    def _finish(self, request: SynthesisRequest) -> Finish:
        rate, default = request.rate, self._defaults.finish
        if rate is not None and not MIN_RATE <= rate <= MAX_RATE:
            raise OutOfRange(f"sample_rate must be between {MIN_RATE} and {MAX_RATE}.", param="sample_rate")
        normalize = default.normalize if request.normalize is None else request.normalize
        return replace(default, rate=rate, normalize=normalize, gain_db=request.gain_db)

    async def _cache_entry(self, plan: SpeechPlan, form: AudioFormat) -> CacheEntry | None:
        """Return the cache entry of the whole speech in a format; None if the speech is not cached."""
        if self.cache is None or not plan.is_cached:
            return None
        chunking = self._chunking(plan)
        parts = await asyncio.to_thread(lambda: [part for step in (*plan.steps, Flush()) for part in chunking.feed(step)])
        if any(isinstance(part, Piece) and part.delivery.model for part in parts):
            return None  # the key covers the weights of one model; the pieces are cached, each with its own
        options = [part.delivery.options for part in parts if isinstance(part, Piece)]
        return await self.cache.entry(plan.voice.model, options, form, plan.finish, parts)

    def _chunking(self, plan: SpeechPlan) -> Chunking:
        backend = self._pool.backend(plan.voice.model)
        return Chunking(plan.prosody.resolve, FIRST_PIECE_CHARS, backend.piece_chars, backend.breath_chars)

    async def _perform(self, plan: SpeechPlan, steps: AsyncGenerator[Step, None], deadline: Deadline | None = None) -> SpeechStream:
        cues: list[Cue] = []
        parts = parts_of(self._meter.read(plan.voice.model.id, steps), self._chunking(plan))
        speech = await SpeechStream.begin(self._audio(plan, parts, cues, deadline), cues, plan.warnings)
        speech.model = plan.voice.model.id
        return speech

    async def _audio(
        self, plan: SpeechPlan, parts: AsyncGenerator[Part, None], cues: list[Cue], deadline: Deadline | None
    ) -> AsyncGenerator[Audio, None]:
        entry, finish = plan.voice.model, plan.finish
        with self._pool.admission.ticket(entry.backend, live=plan.is_live) as ticket:

            def synthesizer(entry: ModelEntry) -> Synthesize:
                synthesize = self._synthesize(entry, ticket, LIVE if plan.is_live else FILE, deadline)
                return self.cache.cached(entry, synthesize) if self.cache is not None and plan.is_cached else synthesize

            others = OtherModels(plan.others, entry.sample_rate, synthesizer)
            renderer = AudioRenderer(
                prepared(synthesizer(entry), finish), cues, other=lambda model: prepared(others.synthesizer(model), finish)
            )
            speech = postprocessed(renderer.of(parts), finish)
            if not plan.is_live:
                speech = silent_without_words(speech, renderer, finish.rate or entry.sample_rate or UNHEARD_RATE)
            async with aclosing(self._meter.spoken(entry.id, speech)) as measured:
                async for audio in measured:
                    ticket.answered()
                    yield audio

    def _synthesize(self, entry: ModelEntry, ticket: Ticket, urgency: int, deadline: Deadline | None) -> Synthesize:
        runner = self._pool.client(entry)

        def synthesize(text: str, options: SpeechOptions) -> AsyncGenerator[Audio, None]:
            if deadline is not None:
                deadline.restart()
            return runner.synthesize(entry.id, text, options, urgency=urgency, patience_s=ticket.patience_s())

        return synthesize


def may_change_voice(voice: ResolvedVoice) -> bool:
    """Return whether another model may speak instead: not for a cloned or designed voice, which no other model has."""
    return voice.reference is None and voice.design is None
