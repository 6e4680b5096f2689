"""What a Realtime session hears: its sound, the turns in it, and the transcriptions of its items. The I/O of hearing, without a socket."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from open_speech.api.openai import responses
from open_speech.api.realtime.effects import (
    SILENCE_KEPT_MS,
    Begin,
    Clear,
    Commit,
    Delta,
    Hear,
    HearItem,
    NotTranscribed,
    Report,
    SoundFormat,
    SpeechStarted,
    SpeechStopped,
    Transcribed,
    TranscriptionSettings,
    Tune,
    TurnRules,
)
from open_speech.api.realtime.sound import decoded
from open_speech.audio import resample
from open_speech.backends import TranscribeOptions
from open_speech.engine import Engine
from open_speech.errors import BackendFailed, SpeechError
from open_speech.recognition.live.input_buffer import InputBuffer
from open_speech.recognition.live.recognizer import SessionRecognizer
from open_speech.recognition.live.turn_detection import Paused, Started, Stopped, TurnDetector, TurnEvent
from open_speech.recognition.live.utterance import Utterance
from open_speech.recognition.vad import VAD_RATE
from open_speech.transcript import Transcript

log = logging.getLogger("open_speech.realtime")

STEP_S = 0.2
"""Sound is listened to in steps of this length: whatever comes at once, no turn of the event loop is long, and turns come in order."""
MARGIN_S = 2.0
"""Sound that is kept though an item has had it: a turn that follows at once reaches back into it."""
WAITING_S = 60.0
"""Seconds of committed sound that may wait for their text, beside one item of any length; nothing more is read before there is less."""

Heard = Tune | Hear | Begin | Commit | HearItem | Clear
"""The effects that are performed here."""


@dataclass
class _Item:
    """An item that is transcribed."""

    item_id: str
    utterance: Utterance
    start_s: float
    fed_s: float
    """How far it has been given the sound."""


class InputDriver:
    """Performs what a session asks to be heard, in order. Times count in seconds of input since the session began."""

    def __init__(self, engine: Engine, report: Callable[[Report], None]) -> None:
        """`report` takes what was heard; it may `put` further effects at once."""
        self._engine = engine
        self._ears = SessionRecognizer(engine.ear)
        self._report = report
        self._queue: deque[Heard] = deque()
        self._ahead: deque[Heard] | None = None
        """While reports are made: the effects that come of them. They go before all that waits, as the sound they speak of does."""
        self._changed = asyncio.Event()
        self._settled = asyncio.Event()
        self._settled.set()
        self._format = SoundFormat()
        self._rules: TurnRules | None = None
        self._turns: TurnDetector | None = None
        self._microphone: InputBuffer | None = None
        self._item: _Item | None = None
        self._failed: tuple[str, SpeechError] | None = None
        """The item that could not be begun, and why."""
        self._finishing: dict[asyncio.Task[None], float] = {}
        """Transcriptions of committed items, and the seconds of each."""

    def put(self, effect: Heard) -> None:
        """Have an effect performed after those before it; never waits."""
        if self._ahead is not None:
            self._ahead.append(effect)
            return
        self._queue.append(effect)
        self._settled.clear()
        self._changed.set()

    async def settled(self) -> None:
        """Wait until all that was put is heard, and not too much of it waits for its text."""
        await self._settled.wait()

    async def run(self) -> None:
        """Perform effects as they come, without end. Raises SpeechError if the speech detector cannot be opened."""
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
            # A session's objects refer to each other: their audio would stay until the garbage collector comes.
            self._queue.clear()
            self._microphone = None

    async def _perform(self, effect: Heard) -> None:
        match effect:
            case Tune(form, rules):
                self._format = form
                self._tune(rules)
            case Hear(data):
                await self._hear(data)
            case Begin(item_id, start_ms, ears):
                await self._begin(item_id, start_ms / 1000, ears)
            case Commit():
                await self._commit(effect)
            case HearItem():
                seconds = len(effect.data) / (effect.format.rate * (2 if effect.format.type == "audio/pcm" else 1))
                self._follow(effect.item_id, self._item_heard(effect), seconds)
            case Clear():
                self._clear()

    def _tune(self, rules: TurnRules | None) -> None:
        if rules != self._rules:
            self._rules = rules
            self._turns = TurnDetector(rules.threshold, rules.prefix_padding_ms, rules.silence_duration_ms) if rules else None
            if self._microphone is not None:
                self._microphone.tune(self._turns)

    async def _hear(self, data: bytes) -> None:
        """Listen to sound step by step; what its turns lead to is done before the next step."""
        microphone = await self._opened()
        width = 2 if self._format.type == "audio/pcm" else 1
        step = round(STEP_S * self._format.rate) * width
        for start in range(0, len(data), step):
            events = microphone.hear(decoded(data[start : start + step], self._format))
            for event in events:
                for effect in self._told(event):
                    await self._perform(effect)
            await self._feed(microphone.seconds)
            if self._item is not None and events and isinstance(events[-1], Paused):
                self._item.utterance.pause()
            self._forget(microphone)
            await asyncio.sleep(0)

    def _told(self, event: TurnEvent) -> Sequence[Heard]:
        """Report a turn; give the effects that come of it."""
        following: deque[Heard] = deque()
        self._ahead = following
        match event:
            case Started(at_s):
                self._report(SpeechStarted(round(at_s * 1000)))
            case Stopped(at_s):
                self._report(SpeechStopped(round(at_s * 1000)))
        self._ahead = None
        return following

    async def _begin(self, item_id: str, start_s: float, ears: TranscriptionSettings) -> None:
        self._drop()
        try:
            self._item = await self._opened_item(item_id, start_s, ears)
        except SpeechError as error:
            self._failed = item_id, error
            return
        await self._feed((await self._opened()).seconds)

    async def _commit(self, effect: Commit) -> None:
        """End an item: what was begun is completed, what was not is transcribed from here."""
        microphone = await self._opened()
        start_s, end_s = effect.start_ms / 1000, effect.end_ms / 1000
        is_open = self._item is not None and self._item.item_id == effect.item_id
        if effect.ears is None:
            self._drop()
        elif self._failed is not None and self._failed[0] == effect.item_id:
            self._report(NotTranscribed(effect.item_id, self._failed[1]))
        else:
            if not is_open or end_s > microphone.seconds:
                self._events_of_rest(microphone)
            await self._complete(effect.item_id, start_s, end_s, effect.ears)
        self._failed = None
        microphone.forget(end_s)

    def _events_of_rest(self, microphone: InputBuffer) -> None:
        """Have the last milliseconds heard that resampling holds back: the end of what the client committed may lie in them."""
        for event in microphone.flush():
            self._queue.extendleft(reversed(self._told(event)))

    async def _complete(self, item_id: str, start_s: float, end_s: float, ears: TranscriptionSettings) -> None:
        if self._item is None or self._item.item_id != item_id:
            self._drop()
            try:
                self._item = await self._opened_item(item_id, start_s, ears)
            except SpeechError as error:
                self._report(NotTranscribed(item_id, error))
                return
        await self._feed(end_s)
        item, self._item = self._item, None
        item.utterance.end()
        self._follow(item_id, _finished(item.utterance), end_s - start_s)

    async def _item_heard(self, effect: HearItem) -> Transcript:
        """Transcribe sound that did not come through the microphone."""
        item = await self._opened_item(effect.item_id, 0.0, effect.ears)
        sound = await asyncio.to_thread(lambda: resample(decoded(effect.data, effect.format), VAD_RATE))
        item.utterance.feed(sound)
        return await _finished(item.utterance)

    def _follow(self, item_id: str, transcribing: Coroutine[Any, Any, Transcript], seconds: float) -> None:
        task = asyncio.create_task(self._answered(item_id, transcribing, seconds))
        self._finishing[task] = seconds
        task.add_done_callback(self._has_finished)

    async def _answered(self, item_id: str, transcribing: Coroutine[Any, Any, Transcript], seconds: float) -> None:
        """Report what comes of a transcription, whatever that is."""
        try:
            transcript = await transcribing
        except SpeechError as error:
            self._report(NotTranscribed(item_id, error))
        except Exception:  # noqa: BLE001 - the boundary of this connection: an item that was committed is always answered
            log.exception("a transcription failed")
            self._report(NotTranscribed(item_id, BackendFailed("The audio could not be transcribed.")))
        else:
            self._report(Transcribed(item_id, transcript.text, seconds, transcript.info.language, _logprobs(transcript)))

    def _has_finished(self, task: asyncio.Task[None]) -> None:
        del self._finishing[task]
        self._settle()

    def _settle(self) -> None:
        waiting = self._finishing.values()
        if not self._queue and (len(waiting) < 2 or sum(waiting) < WAITING_S):
            self._settled.set()

    async def _opened(self) -> InputBuffer:
        if self._microphone is None:
            self._microphone = InputBuffer(await self._engine.detector(), self._turns)
        return self._microphone

    async def _opened_item(self, item_id: str, start_s: float, ears: TranscriptionSettings) -> _Item:
        options = TranscribeOptions(
            language=ears.language,
            languages=ears.languages,
            prompt=ears.prompt,
            hotwords=", ".join(ears.keywords) or None,
            logprobs=ears.logprobs,
        )
        ear = await self._ears.ear(ears.model or self._engine.registry.defaults.stt_model, options)
        utterance = Utterance(ear, lambda text: self._report(Delta(item_id, text)))
        return _Item(item_id, utterance, start_s, start_s)

    async def _feed(self, until_s: float) -> None:
        """Give the open item the sound it has not had, up to a time."""
        item, microphone = self._item, self._microphone
        if item is None or microphone is None or until_s <= item.fed_s:
            return
        await item.utterance.room()
        item.utterance.feed(microphone.cut(item.fed_s, until_s))
        item.fed_s = min(until_s, microphone.seconds)

    def _forget(self, microphone: InputBuffer) -> None:
        """Let go of sound that nobody will ask for: what an open item has had, or a long silence when turns are told here."""
        if self._item is not None:
            microphone.forget(self._item.fed_s - MARGIN_S)
        elif self._turns is not None and not self._turns.is_speaking:
            microphone.forget(microphone.seconds - SILENCE_KEPT_MS / 1000)

    def _clear(self) -> None:
        self._drop()
        if self._turns is not None:
            self._turns.clear()
        if self._microphone is not None:
            self._microphone.forget(self._microphone.seconds)

    def _drop(self) -> None:
        item, self._item = self._item, None
        if item is not None:
            item.utterance.cancel()


async def _finished(utterance: Utterance) -> Transcript:
    try:
        return await utterance.finish()
    except asyncio.CancelledError:
        utterance.cancel()
        raise


def _logprobs(transcript: Transcript) -> Sequence[Mapping[str, Any]] | None:
    found = [token.model_dump() for segment in transcript.segments for token in responses.tokens(segment)]
    return found or None
