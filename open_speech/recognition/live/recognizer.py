"""What a live door hears with: one model and how it is asked, pass by pass, ahead of the files that wait for the same runner."""

from __future__ import annotations

import asyncio
import itertools
import math
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace

from open_speech.audio import Audio
from open_speech.backends import BackendEntry, ModelEntry, Task, TranscribeOptions, Vad, Window
from open_speech.dispatch.admission import Admission, Ticket
from open_speech.dispatch.client import RunnerClient
from open_speech.dispatch.frames import LIVE, LIVE_PARTIAL
from open_speech.errors import UnsupportedLanguage
from open_speech.languages import requested_language
from open_speech.metrics.meter import Meter
from open_speech.recognition.hallucinations import is_hallucination
from open_speech.recognition.live.segmenter import Loudness, Segmenter, Whole, Windowing
from open_speech.recognition.live.turn_detection import FRAME_S
from open_speech.recognition.vad import SpeechModel, SpeechProbabilities
from open_speech.recognition.windows import WindowCutter
from open_speech.registry import Registry
from open_speech.transcript import Segment, Transcript, TranscriptInfo

SURE = 0.9
"""A language found with this probability is believed against what the session was in so far."""
SHORT_S, SURE_IN_SHORT = 2.0, 0.97
"""Of less sound than this it takes more: in phrases of a second Whisper base took English for Dutch with 0.87, and for Welsh."""
CREDIBLE = 0.7
"""A language found with this probability in a longer utterance is one that the session is in."""
LIVE_SPEECH_MS = 100
"""The shortest speech that a window is made of: a live turn may be a single short word."""
BUSY = 2
"""Live passes under way in one runner from which on it is busy: partial passes wait."""


Speech = tuple[tuple[float, float], ...]


@dataclass
class Traffic:
    """The live passes that are under way in one runner."""

    passes: int = 0


@dataclass(frozen=True, slots=True)
class Recogniser:
    """One model and where it runs."""

    entry: ModelEntry
    backend: BackendEntry
    runner: RunnerClient
    admission: Admission
    traffic: Traffic
    meter: Meter


class LiveRecognizer:
    """One model, and how one live session wants to be heard; it knows what language the session has been in."""

    def __init__(
        self, recogniser: Recogniser, options: TranscribeOptions, speech: SpeechModel | None, *, caller: str, longest_s: float = math.inf
    ) -> None:
        """`options.vad` is how sound is searched for speech by the model `speech`; without that, what is loud is taken for it.

        `caller` names the session, for its fair share of the runner.
        """
        self.model = recogniser.entry.id
        self.window_s = recogniser.backend.window_s
        """The longest sound, in seconds, that `hear` is given."""
        self.longest_s = longest_s
        """The longest utterance, in seconds."""
        self.task = options.task
        self._batched = recogniser.backend.batch > 0
        self._runner = recogniser.runner
        self._admission = recogniser.admission
        self._traffic = recogniser.traffic
        self._meter = recogniser.meter
        self._options = options
        self._speech = speech
        self._vad = options.vad or Vad()
        self._caller = caller
        self._languages: dict[str, float] = {}
        """The languages that the session is in: seconds of final text, weighed by probability."""

    @property
    def is_busy(self) -> bool:
        """Whether the runner has so much live work that passes nobody must wait for are better left out."""
        return self._traffic.passes >= BUSY

    @contextmanager
    def admitted(self) -> Iterator[Ticket]:
        """Be under way as long as somebody is listened to, so that a server that stops waits for them; raises as `Admission.ticket`."""
        with self._admission.ticket(self._runner.name, answers=0, live=True) as ticket:
            yield ticket

    def stretches(self) -> Segmenter:
        """Begin to take in the sound of one utterance."""
        detector = Loudness() if self._speech is None else self._speech.stream()
        windowing: Windowing = Whole(self._vad.threshold, longest_s=self.window_s)
        if self._batched:
            vad = replace(self._vad, min_speech_ms=min(self._vad.min_speech_ms, LIVE_SPEECH_MS))
            windowing = WindowCutter(vad, FRAME_S, longest_s=self.window_s)
        return Segmenter(detector, windowing)

    async def transcribe_final(self, audio: Audio, *, language: str | None = None, speech: Speech = ()) -> Transcript:
        """Transcribe sound whose text is to be final, as `hear` does.

        A few words may be taken for another language than they are in: where that is not sure, they are heard in the session's own.
        """
        usual = max(self._languages, key=self._languages.__getitem__, default=None)
        if usual is None or language is not None or self._options.language is not None or not self._batched:
            return await self.hear(audio, final=True, language=language, speech=speech)
        # What looks wrong is decoded again, at length; in the wrong language that would be for nothing.
        heard = await self._hear(Window(audio, replace(self._options, draft=True), speech), LIVE)
        probability = heard.info.language_probability
        doubted = heard.info.language != usual and probability < (SURE_IN_SHORT if audio.seconds < SHORT_S else SURE)
        if heard.segments and not doubted:
            return heard
        again = await self.hear(audio, final=True, language=usual if doubted else heard.info.language, speech=speech)
        # A language that was decided on is no surer for it.
        return replace(again, info=replace(again.info, language_probability=probability))

    def follow(self, other: LiveRecognizer) -> None:
        """Go on in the session of another ear: in the languages that it was in."""
        self._languages = other._languages

    def remember(self, heard: Transcript) -> None:
        """Take note of a final text: how much was heard, and in what language."""
        self._meter.heard(self.model, heard.info.duration)
        info = heard.info
        if heard.segments and info.language_probability >= (CREDIBLE if info.duration >= SHORT_S else SURE):
            self._languages[info.language] = self._languages.get(info.language, 0.0) + info.duration * info.language_probability

    async def hear(self, audio: Audio, *, final: bool, language: str | None = None, speech: Speech = ()) -> Transcript:
        """Transcribe sound of at most `window_s` seconds; times count from its start.

        A pass that is not final is a quick one: greedy, tried once, no times. `language` is what is known of the language by now, `speech`
        where in the audio somebody speaks, as in Window.
        Raises SpeechError's children.
        """
        options = replace(self._options, language=self._options.language or language)
        if not final:
            options = replace(options, beam_size=1, temperatures=(0.0,), word_times=False, logprobs=False, draft=True)
        return await self._hear(Window(audio, options, speech), LIVE if final else LIVE_PARTIAL)

    async def _hear(self, window: Window, urgency: int) -> Transcript:
        self._traffic.passes += 1
        try:
            with self._meter.working("stt", self.model, window.audio.seconds):
                return await (self._by_window if self._batched else self._by_itself)(window, urgency)
        finally:
            self._traffic.passes -= 1

    async def _by_window(self, window: Window, urgency: int) -> Transcript:
        heard = await self._runner.transcribe_window(self.model, window, caller=self._caller, urgency=urgency)
        info = TranscriptInfo(heard.language, heard.language_probability, window.audio.seconds, window.options.task)
        return Transcript(info, tuple(segment for segment in heard.segments if not is_hallucination(segment, heard.language)))

    async def _by_itself(self, window: Window, urgency: int) -> Transcript:
        audio, options = window.audio, window.options
        info = TranscriptInfo(options.language or "", 0.0, audio.seconds, options.task)
        segments: list[Segment] = []
        async for item in self._runner.transcribe(self.model, audio, options, urgency=urgency):
            if isinstance(item, TranscriptInfo):
                info = item
            elif not is_hallucination(item, info.language):
                segments.append(item)
        return Transcript(info, tuple(segments))


class LiveRecognizers:
    """Makes the ears of one engine."""

    def __init__(  # noqa: PLR0913 - the parts of an engine that it listens with
        self,
        registry: Registry,
        runners: Mapping[str, RunnerClient],
        speech: Callable[[], SpeechModel],
        vad: Vad | None,
        admission: Admission,
        *,
        meter: Meter | None = None,
        longest_s: float = math.inf,
    ) -> None:
        """`speech` opens the speech detector; it blocks. No utterance may be longer than `longest_s` seconds."""
        self._longest_s = longest_s
        self._meter = meter or Meter()
        self._registry = registry
        self._runners = runners
        self._speech = speech
        self._vad = vad
        self._admission = admission
        self._traffic = {name: Traffic() for name in runners}
        self._callers = itertools.count()

    async def recognizer(self, model: str, options: TranscribeOptions) -> LiveRecognizer:
        """Find a model to listen with. Raises SpeechError's children naming `model` or `language`."""
        entry = self._registry.find(model, Task.STT)
        known = requested_language(options.language, "language")
        if known and entry.languages and known not in entry.languages:
            raise UnsupportedLanguage(f"The model `{entry.id}` does not support `{options.language}`.", param="language")
        backend = entry.backend
        recogniser = Recogniser(
            entry, self._registry.backends[backend], self._runners[backend], self._admission, self._traffic[backend], self._meter
        )
        options = replace(options, language=known, vad=options.vad or self._vad)
        needed = options.vad is not None or recogniser.backend.batch > 0
        speech = await asyncio.to_thread(self._speech) if needed else None
        return LiveRecognizer(recogniser, options, speech, caller=f"live-{next(self._callers)}", longest_s=self._longest_s)

    async def detector(self) -> SpeechProbabilities:
        """Begin to listen for speech in one stream; the model is opened off the event loop."""
        return (await asyncio.to_thread(self._speech)).stream()


class SessionRecognizer:
    """The ear of one session: the same as long as nothing changes in how it wants to be heard, and one that remembers if something does."""

    def __init__(self, find: Callable[[str, TranscribeOptions], Awaitable[LiveRecognizer]]) -> None:
        """`find` finds a model to listen with, as the engine does."""
        self._find = find
        self._last: tuple[str, TranscribeOptions, LiveRecognizer] | None = None

    async def recognizer(self, model: str, options: TranscribeOptions) -> LiveRecognizer:
        """Find a model to listen with. Raises SpeechError's children naming `model` or `language`."""
        last = self._last
        if last is not None and last[:2] == (model, options):
            return last[2]
        recognizer = await self._find(model, options)
        if last is not None:
            recognizer.follow(last[2])
        self._last = model, options, recognizer
        return recognizer
