"""The driver of Realtime input: audio, turn detection and the transcription of items. It does the I/O, but knows no socket."""

from __future__ import annotations

import asyncio
import logging
import math
from collections import deque
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import replace
from typing import Any

from open_speech.api.openai import responses
from open_speech.api.realtime.effects import (
    SILENCE_KEPT_MS,
    AppendAudio,
    AudioFormat,
    Begin,
    Clear,
    Commit,
    ConfigureInput,
    Delta,
    NotTranscribed,
    Report,
    SpeechPaused,
    SpeechResumed,
    SpeechStarted,
    SpeechStopped,
    SpokenSegment,
    TextReady,
    Transcribed,
    TranscribeItem,
    TranscriptionSettings,
    TurnRules,
)
from open_speech.api.realtime.wire_audio import decoded
from open_speech.audio import resample
from open_speech.backends import DiarizeOptions, TranscribeOptions
from open_speech.errors import BackendFailed, SpeechError
from open_speech.recognition.live.input_buffer import InputBuffer
from open_speech.recognition.live.live_input import HISTORY_S, LiveInput, steps
from open_speech.recognition.live.recognizer import SessionRecognizer
from open_speech.recognition.live.speaker_tracker import SpeakerTracker
from open_speech.recognition.live.turn_detection import Endpointer, Paused, Resumed, Started, Stopped, TurnEvent
from open_speech.recognition.live.utterance import Utterance
from open_speech.recognition.service import Recognition
from open_speech.recognition.vad import VAD_RATE
from open_speech.transcript import Transcript

log = logging.getLogger("open_speech.realtime")

STEP_S = 0.2
"""Seconds of audio that are processed at a time, so that a large message does not block the event loop, and turns are in order."""
WAITING_S = 60.0
"""Seconds of committed audio that may wait for their text, beside one item of any length; above it, no more is read."""

InputEffect = ConfigureInput | AppendAudio | Begin | Commit | TranscribeItem | Clear
"""The effects that are performed here."""


class InputDriver:
    """Performs the input effects of a session, in order. Times are seconds of input since the session began."""

    def __init__(self, recognition: Recognition, default_model: str, report: Callable[[Report], Sequence[InputEffect]]) -> None:
        """`report` passes a report to the session and returns the effects that are to be performed here because of it."""
        self._recognition = recognition
        self._default_model = default_model
        self._recognizer = SessionRecognizer(recognition.recognizer)
        self._report = report
        self._queue: deque[InputEffect] = deque()
        self._changed = asyncio.Event()
        self._settled = asyncio.Event()
        self._settled.set()
        self._format = AudioFormat()
        self._rules: TurnRules | None = None
        self._turns: Endpointer | None = None
        self._input: LiveInput | None = None
        self._item_id: str | None = None
        """The item that is transcribed while its audio arrives."""
        self._failed: tuple[str, SpeechError] | None = None
        """The item whose transcription could not start, and the error."""
        self._tracker: SpeakerTracker | None = None
        """The speakers of the session, from the first item on whose speakers are labelled."""
        self._labelled: set[str] = set()
        """Items in progress whose speakers are labelled."""
        self._finishing: dict[asyncio.Task[None], float] = {}
        """Transcriptions of committed items, and the seconds of each."""

    def put(self, *effects: InputEffect) -> None:
        """Queue effects; never waits."""
        if effects:
            self._queue.extend(effects)
            self._settled.clear()
            self._changed.set()

    async def settled(self) -> None:
        """Wait until all queued effects are performed, and not too much audio waits for its text."""
        await self._settled.wait()

    async def run(self) -> None:
        """Perform effects as they arrive, without end. Raises SpeechError if the speech detector cannot be loaded."""
        try:
            while True:
                while not self._queue:
                    self._settle()
                    self._changed.clear()
                    await self._changed.wait()
                await self._perform(self._queue.popleft())
        finally:
            self._drop()
            for task in self._finishing:
                task.cancel()
            await asyncio.gather(*self._finishing, return_exceptions=True)
            # A session's objects refer to each other: their audio would stay until the garbage collector runs.
            self._queue.clear()
            self._input = None

    async def _perform(self, effect: InputEffect) -> None:
        match effect:
            case ConfigureInput(form, rules):
                self._format = form
                self._configure(rules)
            case AppendAudio(data):
                await self._process_audio(data)
            case Begin(item_id, start_ms, transcription):
                await self._begin(item_id, start_ms / 1000, transcription)
            case Commit():
                await self._commit(effect)
            case TranscribeItem():
                seconds = len(effect.data) / (effect.format.rate * (2 if effect.format.type == "audio/pcm" else 1))
                self._start_transcription(effect.item_id, self._transcribe_item(effect), seconds)
            case Clear():
                self._clear()

    def _configure(self, rules: TurnRules | None) -> None:
        if rules != self._rules:
            self._rules = rules
            self._turns = self._endpointer(rules) if rules else None
            if self._input is not None:
                self._input.tune(self._turns)

    def _endpointer(self, rules: TurnRules) -> Endpointer:
        longest_ms = rules.longest_silence_ms if self._recognition.turns.is_semantic else None
        if longest_ms is not None:
            self._recognition.turns.prepare()
        return Endpointer(rules.threshold, rules.prefix_padding_ms, rules.silence_duration_ms, longest_silence_ms=longest_ms)

    async def _process_audio(self, data: bytes) -> None:
        """Process audio step by step; the effects of its turns are performed before the next step."""
        live = await self._live_input()
        for part in steps(data, self._format.rate, STEP_S, width=self._format.width):
            events = live.take(decoded(part, self._format))
            await self._perform_turns(events)
            while live.is_asking:
                live.advance(events, keep_s=self._keep_s())
                events = await live.decide()
                await self._perform_turns(events)
            await live.room()
            live.advance(events, keep_s=self._keep_s())
            await asyncio.sleep(0)

    async def _perform_turns(self, events: Sequence[TurnEvent]) -> None:
        """Report turn events, and perform the effects that follow from each before the next."""
        for event in events:
            for effect in self._report_turn(event):
                await self._perform(effect)

    def _report_turn(self, event: TurnEvent) -> Sequence[InputEffect]:
        """Report a turn event; return the effects that follow from it. They precede those in the queue, as the audio of the turn does."""
        match event:
            case Started(at_s):
                return self._report(SpeechStarted(round(at_s * 1000)))
            case Stopped(at_s):
                return self._report(SpeechStopped(round(at_s * 1000)))
            case Paused(at_s):
                return self._report(SpeechPaused(round(at_s * 1000)))
            case Resumed(at_s):
                if self._input is not None:
                    self._input.resume()
                return self._report(SpeechResumed(round(at_s * 1000)))

    def _report_text(self, report: Report) -> None:
        """Report a text; the effects that follow from it are performed after those in the queue."""
        self.put(*self._report(report))

    async def _begin(self, item_id: str, start_s: float, transcription: TranscriptionSettings) -> None:
        self._drop()
        live = await self._live_input()
        try:
            utterance = await self._open_utterance(item_id, transcription)
        except SpeechError as error:
            self._failed = item_id, error
            return
        self._item_id = item_id
        live.begin(utterance, start_s)
        live.feed(live.seconds)

    async def _commit(self, effect: Commit) -> None:
        """End the audio of an item; its transcription is completed, or starts here if it was not begun."""
        live = await self._live_input()
        start_s, end_s = effect.start_ms / 1000, effect.end_ms / 1000
        if effect.transcription is None:
            self._drop()
        elif self._failed is not None and self._failed[0] == effect.item_id:
            self._report_text(NotTranscribed(effect.item_id, self._failed[1]))
        else:
            if self._item_id != effect.item_id or end_s > live.seconds:
                self._flush_input(live)
            await self._complete(live, effect.item_id, start_s, end_s, effect.transcription)
        self._failed = None
        live.forget(end_s)

    def _flush_input(self, live: LiveInput) -> None:
        """Process the last milliseconds that the resampler buffers: the end of the committed audio may be in them."""
        following = [effect for event in live.flush() for effect in self._report_turn(event)]
        self._queue.extendleft(reversed(following))

    async def _complete(self, live: LiveInput, item_id: str, start_s: float, end_s: float, transcription: TranscriptionSettings) -> None:
        if self._item_id != item_id:
            self._drop()
            try:
                live.begin(await self._open_utterance(item_id, transcription), start_s)
            except SpeechError as error:
                self._report_text(NotTranscribed(item_id, error))
                return
        if end_s > live.fed_s:
            await live.room()
        self._item_id = None
        self._start_transcription(item_id, _finish(live.end(end_s)), end_s - start_s)

    async def _transcribe_item(self, effect: TranscribeItem) -> Transcript:
        """Transcribe the audio of an item that is not from the input buffer."""
        # Decoded first: no utterance is open yet if the client disconnects meanwhile.
        audio = await asyncio.to_thread(lambda: resample(decoded(effect.data, effect.format), VAD_RATE))
        utterance = await self._open_utterance(effect.item_id, effect.transcription)
        utterance.feed(audio)
        return await _finish(utterance)

    def _start_transcription(self, item_id: str, transcribing: Coroutine[Any, Any, Transcript], seconds: float) -> None:
        task = asyncio.create_task(self._report_result(item_id, transcribing, seconds))
        self._finishing[task] = seconds
        task.add_done_callback(self._task_done)

    async def _report_result(self, item_id: str, transcribing: Coroutine[Any, Any, Transcript], seconds: float) -> None:
        """Report the transcript, or the error of the transcription."""
        try:
            transcript = await transcribing
            segments = _segments(transcript) if item_id in self._labelled else ()
        except SpeechError as error:
            self._report_text(NotTranscribed(item_id, error))
        except Exception:  # noqa: BLE001 - the boundary of this connection: a committed item always gets a transcript or an error
            log.exception("a transcription failed")
            self._report_text(NotTranscribed(item_id, BackendFailed("The audio could not be transcribed.")))
        else:
            self._report_text(Transcribed(item_id, transcript.text, seconds, transcript.info.language, _logprobs(transcript), segments))
        finally:
            self._labelled.discard(item_id)

    def _task_done(self, task: asyncio.Task[None]) -> None:
        del self._finishing[task]
        self._settle()

    def _settle(self) -> None:
        waiting = self._finishing.values()
        if not self._queue and (len(waiting) < 2 or sum(waiting) < WAITING_S):
            self._settled.set()

    async def _live_input(self) -> LiveInput:
        if self._input is None:
            self._input = LiveInput(InputBuffer(await self._recognition.detector(), self._turns), decider=self._recognition.turns)
        return self._input

    async def _open_utterance(self, item_id: str, transcription: TranscriptionSettings) -> Utterance:
        options = TranscribeOptions(
            language=transcription.language,
            languages=transcription.languages,
            prompt=transcription.prompt,
            hotwords=", ".join(transcription.keywords) or None,
            logprobs=transcription.logprobs,
        )
        model = transcription.model or self._default_model
        tracker = await self._speakers() if transcription.diarize else None
        if tracker is not None:
            self._labelled.add(item_id)
            options = replace(options, word_times=self._recognition.times_words(model))
        recognizer = await self._recognizer.recognizer(model, options)
        return Utterance(
            recognizer,
            lambda text: self._report_text(Delta(item_id, text)),
            on_early=lambda text: self._report_text(TextReady(item_id, text)),
            tracker=tracker,
        )

    async def _speakers(self) -> SpeakerTracker:
        if self._tracker is None:
            self._tracker = await self._recognition.trackers.tracker(DiarizeOptions())
        return self._tracker

    def _keep_s(self) -> float:
        """Return how many of the last seconds are still needed: those that can be committed, unless an item has received them already."""
        if self._item_id is not None:
            return HISTORY_S
        return SILENCE_KEPT_MS / 1000 if self._turns is not None and not self._turns.is_speaking else math.inf

    def _clear(self) -> None:
        self._drop()
        if self._turns is not None:
            self._turns.clear()
        if self._input is not None:
            self._input.forget(self._input.seconds)

    def _drop(self) -> None:
        self._labelled.discard(self._item_id or "")
        self._item_id = None
        if self._input is not None:
            self._input.drop()


async def _finish(utterance: Utterance) -> Transcript:
    try:
        return await utterance.finish()
    except asyncio.CancelledError:
        utterance.cancel()
        raise


def _segments(transcript: Transcript) -> tuple[SpokenSegment, ...]:
    return tuple(SpokenSegment(one.text.strip(), one.speaker, one.start, one.end) for one in transcript.segments if one.text.strip())


def _logprobs(transcript: Transcript) -> Sequence[Mapping[str, Any]] | None:
    found = [token.model_dump() for segment in transcript.segments for token in responses.tokens(segment)]
    return found or None
