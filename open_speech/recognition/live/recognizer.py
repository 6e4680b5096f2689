"""Recognizers for live audio: one model per session, called pass by pass, with precedence over files that wait for the same runner."""

from __future__ import annotations

import asyncio
import itertools
import math
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace

from open_speech.audio import Audio
from open_speech.backends import BackendEntry, ModelEntry, Task, TranscribeOptions, Vad, Window
from open_speech.dispatch.admission import Admission, Ticket
from open_speech.dispatch.client import RunnerClient
from open_speech.dispatch.fallback import FallbackChain
from open_speech.dispatch.frames import LIVE, LIVE_PARTIAL
from open_speech.errors import Overloaded, UnsupportedLanguage
from open_speech.languages import requested_language
from open_speech.metrics.meter import Meter
from open_speech.recognition.hallucinations import is_hallucination
from open_speech.recognition.live.segmenter import ContinuousWindows, Loudness, Segmenter, Windowing
from open_speech.recognition.live.turn_detection import FRAME_S
from open_speech.recognition.vad import SpeechModel, SpeechProbabilities
from open_speech.recognition.windows import WindowCutter
from open_speech.registry import Registry
from open_speech.transcript import Segment, Transcript, TranscriptInfo

SURE = 0.9
"""Probability from which a detected language overrides the languages of the session so far."""
SHORT_S, SURE_IN_SHORT = 2.0, 0.97
"""For audio of less than this many seconds, the probability must be higher: in phrases of one second, Whisper base detected English as
Dutch with 0.87, and as Welsh."""
CREDIBLE = 0.7
"""Probability from which the language of a longer utterance counts as a language of the session."""
LIVE_SPEECH_MS = 100
"""Milliseconds of the shortest speech in a window: a live turn may be a single short word."""
BUSY = 2
"""Live passes in progress in one runner from which it counts as busy: partial passes wait."""


Speech = tuple[tuple[float, float], ...]


@dataclass
class Traffic:
    """The number of live passes in progress in one runner."""

    passes: int = 0


@dataclass(frozen=True, slots=True)
class ModelHandle:
    """One model and its runner."""

    entry: ModelEntry
    backend: BackendEntry
    runner: RunnerClient
    admission: Admission
    traffic: Traffic
    meter: Meter

    @property
    def is_batched(self) -> bool:
        """Whether the runner takes windows, of any sessions together, instead of one audio per call."""
        return self.backend.batch > 0


@dataclass(frozen=True, slots=True)
class LiveTicket:
    """An admitted utterance."""

    ticket: Ticket
    model: ModelEntry
    """The model in whose queue the utterance is: that of the session, or a fallback model."""


class LiveRecognizer:
    """Transcribes the audio of one live session with one model and one set of options; remembers the languages of the session."""

    def __init__(  # noqa: PLR0913 - the model, its options, and one keyword for each property of the session
        self,
        handle: ModelHandle,
        options: TranscribeOptions,
        speech: SpeechModel | None,
        *,
        caller: str,
        chain: FallbackChain,
        handle_of: Callable[[ModelEntry], ModelHandle],
        longest_s: float = math.inf,
    ) -> None:
        """`options.vad` configures speech detection by the model `speech`; without that model, loud audio counts as speech.

        `caller` names the session, for its fair share of the runner. `chain` has the models for final passes that fail, and `handle_of`
        returns their handles.
        """
        self._handle = handle
        self._chain = chain
        self._handle_of = handle_of
        self.model = handle.entry.id
        self.window_s = handle.backend.window_s
        """Maximum seconds of audio that `transcribe` takes."""
        self.longest_s = longest_s
        """Maximum seconds of an utterance."""
        self.task = options.task
        self._batched = handle.is_batched
        self._meter = handle.meter
        self._options = options
        self._speech = speech
        self._vad = options.vad or Vad()
        self._caller = caller
        self._languages: dict[str, float] = {}
        """The languages of the session, each with its seconds of final text, weighted by probability."""

    @property
    def is_busy(self) -> bool:
        """Whether the runner has so much live work that optional passes should be skipped."""
        return self._handle.traffic.passes >= BUSY

    @contextmanager
    def admitted(self) -> Iterator[LiveTicket]:
        """Count as a request in progress during the block, so that a graceful shutdown waits for it.

        A fallback model takes the utterance if the queue of the session's model is full. Raises as `Admission.ticket`.
        """
        entry = self._handle.entry
        models = [entry, *self._chain.models_after(entry)]
        refused: Overloaded | None = None
        for model, following in zip(models, [*models[1:], None], strict=True):
            with ExitStack() as stack:
                try:
                    ticket = stack.enter_context(self._handle.admission.ticket(model.backend, answers=0, live=True))
                except Overloaded as full:
                    refused = refused or full
                    self._chain.moved_on(model, following, full)
                    continue
                yield LiveTicket(ticket, model)
                return
        assert refused is not None
        raise refused

    def segmenter(self) -> Segmenter:
        """Return a segmenter for the audio of one utterance."""
        detector = Loudness() if self._speech is None else self._speech.stream()
        windowing: Windowing = ContinuousWindows(self._vad.threshold, longest_s=self.window_s)
        if self._batched:
            vad = replace(self._vad, min_speech_ms=min(self._vad.min_speech_ms, LIVE_SPEECH_MS))
            windowing = WindowCutter(vad, FRAME_S, longest_s=self.window_s)
        return Segmenter(detector, windowing)

    async def transcribe_final(
        self, audio: Audio, *, language: str | None = None, speech: Speech = (), model: ModelEntry | None = None
    ) -> Transcript:
        """Transcribe audio for its final text, as `transcribe` does, with the `model` that has admitted the utterance.

        The language of a few words may be detected wrongly: if it is not certain, they are decoded in the main language of the session.
        """
        main = max(self._languages, key=self._languages.__getitem__, default=None)
        if main is None or language is not None or self._options.language is not None or not self._batched:
            return await self.transcribe(audio, final=True, language=language, speech=speech, model=model)
        # A draft first: a final pass decodes doubtful text again, at length, which is wasted time in the wrong language.
        draft = await self._transcribe(Window(audio, replace(self._options, draft=True), speech), LIVE, model)
        probability = draft.info.language_probability
        unsure = draft.info.language != main and probability < (SURE_IN_SHORT if audio.seconds < SHORT_S else SURE)
        if draft.segments and not unsure:
            return draft
        final = await self.transcribe(audio, final=True, language=main if unsure else draft.info.language, speech=speech, model=model)
        # The chosen language does not raise the probability that was detected.
        return replace(final, info=replace(final.info, language_probability=probability))

    def follow(self, other: LiveRecognizer) -> None:
        """Continue the session of another recognizer, with its languages."""
        self._languages = other._languages

    def remember(self, transcript: Transcript) -> None:
        """Record the duration and the language of a final transcript."""
        self._meter.heard(self.model, transcript.info.duration)
        info = transcript.info
        if transcript.segments and info.language_probability >= (CREDIBLE if info.duration >= SHORT_S else SURE):
            self._languages[info.language] = self._languages.get(info.language, 0.0) + info.duration * info.language_probability

    async def transcribe(
        self, audio: Audio, *, final: bool, language: str | None = None, speech: Speech = (), model: ModelEntry | None = None
    ) -> Transcript:
        """Transcribe at most `window_s` seconds of audio; times count from its start.

        A pass that is not final is quick: greedy, one attempt, no word times. `language` is the language detected so far, `speech` are the
        spans of speech in the audio, as in Window. A final pass that fails is made again with the fallback models; `model` replaces the
        model of the session as the first one. Raises SpeechError's children.
        """
        options = replace(self._options, language=self._options.language or language)
        if not final:
            options = replace(options, beam_size=1, temperatures=(0.0,), word_times=False, logprobs=False, draft=True)
        return await self._transcribe(Window(audio, options, speech), LIVE if final else LIVE_PARTIAL, model)

    async def _transcribe(self, window: Window, urgency: int, model: ModelEntry | None) -> Transcript:
        if urgency != LIVE:
            return await self._pass(self._handle, window, urgency)
        return await self._chain.first(model or self._handle.entry, lambda entry, _: self._pass(self._handle_of(entry), window, urgency))

    async def _pass(self, handle: ModelHandle, window: Window, urgency: int) -> Transcript:
        # The window may be longer than those of a fallback model, which then takes it as a file.
        in_batch = handle.is_batched and (handle.entry is self._handle.entry or window.audio.seconds <= handle.backend.window_s)
        handle.traffic.passes += 1
        try:
            with self._meter.working("stt", handle.entry.id, window.audio.seconds):
                return await (self._in_batch if in_batch else self._alone)(handle, window, urgency)
        finally:
            handle.traffic.passes -= 1

    async def _in_batch(self, handle: ModelHandle, window: Window, urgency: int) -> Transcript:
        result = await handle.runner.transcribe_window(handle.entry.id, window, caller=self._caller, urgency=urgency)
        info = TranscriptInfo(result.language, result.language_probability, window.audio.seconds, window.options.task)
        return Transcript(info, tuple(segment for segment in result.segments if not is_hallucination(segment, result.language)))

    async def _alone(self, handle: ModelHandle, window: Window, urgency: int) -> Transcript:
        audio, options = window.audio, window.options
        info = TranscriptInfo(options.language or "", 0.0, audio.seconds, options.task)
        segments: list[Segment] = []
        async for item in handle.runner.transcribe(handle.entry.id, audio, options, urgency=urgency):
            if isinstance(item, TranscriptInfo):
                info = item
            elif not is_hallucination(item, info.language):
                segments.append(item)
        return Transcript(info, tuple(segments))


class LiveRecognizers:
    """Creates the live recognizers of one server."""

    def __init__(  # noqa: PLR0913 - one keyword for each part of the server that is needed
        self,
        registry: Registry,
        runners: Mapping[str, RunnerClient],
        speech: Callable[[], SpeechModel],
        vad: Vad | None,
        admission: Admission,
        *,
        meter: Meter | None = None,
        longest_s: float = math.inf,
        chain: FallbackChain | None = None,
    ) -> None:
        """`speech` opens the speech detector (blocking). No utterance may be longer than `longest_s` seconds.

        `chain` has the fallback models; None is no fallback.
        """
        self._longest_s = longest_s
        self._chain = chain or FallbackChain(registry, Task.STT)
        self._meter = meter or Meter()
        self._registry = registry
        self._runners = runners
        self._speech = speech
        self._vad = vad
        self._admission = admission
        self._traffic = {name: Traffic() for name in runners}
        self._callers = itertools.count()

    async def recognizer(self, model: str, options: TranscribeOptions) -> LiveRecognizer:
        """Return a recognizer for a model. Raises SpeechError's children naming `model` or `language`."""
        entry = self._registry.find(model, Task.STT)
        language = requested_language(options.language, "language")
        if language and entry.languages and language not in entry.languages:
            raise UnsupportedLanguage(f"The model `{entry.id}` does not support `{options.language}`.", param="language")
        handle = self._handle(entry)
        options = replace(options, language=language, vad=options.vad or self._vad)
        needed = options.vad is not None or handle.backend.batch > 0
        speech = await asyncio.to_thread(self._speech) if needed else None
        caller = f"live-{next(self._callers)}"
        return LiveRecognizer(handle, options, speech, caller=caller, chain=self._chain, handle_of=self._handle, longest_s=self._longest_s)

    def _handle(self, entry: ModelEntry) -> ModelHandle:
        backend = entry.backend
        return ModelHandle(
            entry, self._registry.backends[backend], self._runners[backend], self._admission, self._traffic[backend], self._meter
        )

    async def detector(self) -> SpeechProbabilities:
        """Return a speech detector for one stream; its model is opened off the event loop."""
        return (await asyncio.to_thread(self._speech)).stream()


class SessionRecognizer:
    """The recognizer of one session: the same while the model and the options are the same, otherwise a new one with the same history."""

    def __init__(self, find: Callable[[str, TranscribeOptions], Awaitable[LiveRecognizer]]) -> None:
        """`find` returns a recognizer for a model, as `Recognition.recognizer` does."""
        self._find = find
        self._last: tuple[str, TranscribeOptions, LiveRecognizer] | None = None

    async def recognizer(self, model: str, options: TranscribeOptions) -> LiveRecognizer:
        """Return a recognizer for a model. Raises SpeechError's children naming `model` or `language`."""
        last = self._last
        if last is not None and last[:2] == (model, options):
            return last[2]
        recognizer = await self._find(model, options)
        if last is not None:
            recognizer.follow(last[2])
        self._last = model, options, recognizer
        return recognizer
