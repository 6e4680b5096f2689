"""The transcription of an utterance in progress: partial texts while the user speaks, and the whole transcript at the end."""

from __future__ import annotations

import asyncio
import copy
import time
from collections import deque
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from open_speech.audio import Audio
from open_speech.errors import AudioTooLong, SpeechError
from open_speech.recognition.live.local_agreement import Agreement, joined, shared_out
from open_speech.recognition.live.recognizer import SURE, LiveRecognizer
from open_speech.recognition.live.segmenter import AudioWindow
from open_speech.recognition.live.speaker_tracker import Decoded, SpeakerTracker, decoded, labelled
from open_speech.recognition.vad import VAD_RATE
from open_speech.recognition.windows import Cut, placed
from open_speech.transcript import Segment, Transcript, TranscriptInfo

PASS_EVERY_S = 0.7
"""Seconds of new speech after which a partial pass starts."""
FIRST_PASS_S = 1.2
"""Minimum seconds of speech for the first pass whose text is sent: with less, two passes may agree on text that was never spoken."""
CHECK_EVERY_S = 0.1
"""Seconds of new audio after which the amount of speech is computed again."""
REST_FACTOR = 2.0
"""Minimum time between two partial passes, as a multiple of the duration of the first: a busy machine runs fewer of them."""
MAX_WINDOWS = 3
"""Maximum windows of one utterance that are decoded at a time; further audio waits until one is done."""
BLOCK = 2 * VAD_RATE
"""Samples that are searched for speech at a time; this takes about 2 ms."""
MAX_WAITING = 30 * VAD_RATE
"""Samples that may wait to be processed; `room` waits while there are more."""


class Utterance:
    """One utterance, transcribed on the running event loop while its audio arrives. It ends with `finish` or `cancel`."""

    def __init__(
        self,
        recognizer: LiveRecognizer,
        on_delta: Callable[[str], None] | None = None,
        *,
        on_draft: Callable[[str], None] | None = None,
        on_window: Callable[[Transcript, bool, float], None] | None = None,
        on_early: Callable[[str], None] | None = None,
        tracker: SpeakerTracker | None = None,
    ) -> None:
        """Take the callbacks. `on_delta` receives each new piece of text; pieces never change, and joined are the text of `finish`.

        Clients that can replace text should use drafts, which do not restrict the final text: `on_draft` receives the whole text so far
        that was not passed to `on_window` yet. `on_window` receives the final text, one window at a time for long utterances, whether it
        is the last window, and the end of the window in seconds: no later text is from audio before it.

        `on_early` receives the whole text after a `pause`, as it will be if no speech follows; not after `resume`. `tracker` labels the
        speakers of the final text.
        """
        self._recognizer = recognizer
        self._tracker = tracker
        self._on_delta = on_delta
        self._on_draft = on_draft
        self._on_window = on_window
        self._on_early = on_early
        self._segmenter = recognizer.segmenter()
        self._waiting: deque[NDArray[np.float32]] = deque()
        self._samples = 0
        """Number of samples in `_waiting`."""
        self._text = ""
        """All text that was sent."""
        self._before = ""
        """The part of `_text` that belongs to completed windows."""
        self._agreement = Agreement()
        self._info = TranscriptInfo("", 0.0, 0.0, recognizer.task)
        self._segments: list[Segment] = []
        self._windows: deque[tuple[Cut, asyncio.Task[Decoded]]] = deque()
        """Complete windows that are being decoded."""
        self._early: dict[Cut, asyncio.Task[Decoded]] = {}
        """Windows that are complete if no speech follows, by `_without_tail` of their cut."""
        self._partial: asyncio.Task[None] | None = None
        self._segmented_s = 0.0
        """Seconds before which no later window begins. Read here and not from the segmenter, which may be at work in a thread."""
        self._checked_s = self._passed_s = 0.0
        """Seconds of audio at the last check for speech, and end of the speech in the last partial pass."""
        self._rested_at = 0.0
        self._language: str | None = None
        self._tasks: set[asyncio.Task[Any]] = set()
        self._changed = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._pausing = self._ending = self._is_split = False
        self._generation = 0
        """The number of pauses and resumptions so far: the text of an earlier pause is not reported."""
        self._work = asyncio.create_task(self._run())

    @property
    def has_failed(self) -> bool:
        """Whether the transcription failed before the end of the utterance; `finish` raises the error."""
        return self._work.done() and not self._ending

    @property
    def settled_s(self) -> float:
        """Seconds of the utterance whose text is final: no later text is from audio before it."""
        return self._windows[0][0].start if self._windows else self._segmented_s

    def feed(self, audio: Audio) -> None:
        """Take the next audio, at VAD_RATE; never waits."""
        if self._work.done():
            return  # failed or cancelled
        self._waiting.append(audio.samples)
        self._samples += len(audio.samples)
        if self._samples > MAX_WAITING:
            self._room.clear()
        self._changed.set()

    async def room(self) -> None:
        """Wait until more audio can be taken. Callers that may feed faster than real time await this before the next piece."""
        room = asyncio.ensure_future(self._room.wait())
        try:
            await asyncio.wait({room, self._work}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            room.cancel()

    def pause(self) -> None:
        """Report the start of a pause: the audio so far is decoded as if it were complete, so that the text is ready if it is."""
        self._pausing = True
        self._generation += 1
        self._changed.set()

    def resume(self) -> None:
        """Report that speech continues after a pause: `on_early` is not called for that pause any more."""
        self._pausing = False
        self._generation += 1

    def end(self) -> None:
        """Report the end of the audio. Call this together with the last piece: a partial pass started in between would delay the text."""
        self._ending = True
        self._changed.set()

    async def finish(self) -> Transcript:
        """Wait for the whole transcript; times count from the first audio. Raises SpeechError's children."""
        self.end()
        await self._work
        return Transcript(replace(self._info, duration=self._segmenter.seconds), tuple(self._segments))

    def cancel(self) -> None:
        """Stop; no callback is called any more."""
        self._on_delta = self._on_draft = self._on_window = self._on_early = None
        self._waiting.clear()
        self._work.cancel()
        self._work.add_done_callback(_retrieve_exception)

    async def _run(self) -> None:
        """Transcribe all audio until the end. Raises SpeechError's children, Overloaded and Stopping included."""
        try:
            with self._recognizer.admitted() as self._admitted:
                await self._transcribe_all()
        finally:
            self._room.set()
            for task in self._tasks:
                task.cancel()

    async def _transcribe_all(self) -> None:
        while not (self._ending and not self._waiting):
            await self._changed.wait()
            self._changed.clear()
            await self._take()
            self._settle()
            if self._waiting and len(self._windows) < MAX_WINDOWS:
                # Windows of one batch are done together. There is room again, and no other window whose end would wake this loop.
                self._changed.set()
            if self._ending:
                continue
            if self._pausing:
                self._start_final_passes_early()
            else:
                self._start_partial_pass()
        for window in self._segmenter.finish():
            self._complete(window)
        self._is_split = True
        while self._windows:
            await asyncio.wait({self._windows[0][1]})
            self._settle()

    async def _take(self) -> None:
        """Process the audio that waits, while fewer than MAX_WINDOWS windows are being decoded."""
        while self._waiting and len(self._windows) < MAX_WINDOWS:
            block = self._waiting.popleft()
            while self._waiting and len(block) + len(self._waiting[0]) <= BLOCK:
                block = np.concatenate([block, self._waiting.popleft()])
            if len(block) > BLOCK:
                self._waiting.appendleft(block[BLOCK:])
                block = block[:BLOCK]
            # Audio in real time is processed on the event loop; large amounts at once go to a thread, so that other sessions do not wait.
            is_large = self._waiting or len(block) > BLOCK // 4
            windows = await asyncio.to_thread(self._segmenter.feed, block) if is_large else self._segmenter.feed(block)
            self._samples -= len(block)
            self._segmented_s = self._segmenter.settled_s
            if self._segmenter.seconds > self._recognizer.longest_s:
                raise AudioTooLong(f"The audio is longer than the limit of {self._recognizer.longest_s:g} s.", param="audio")
            for window in windows:
                self._complete(window)
        if self._samples <= MAX_WAITING:
            self._room.set()

    def _complete(self, window: AudioWindow) -> None:
        """Start to decode a complete window, unless it is being decoded already."""
        cut, audio = window
        self._drop_partial()
        decoding = self._early.pop(_without_tail(cut), None) or self._begin(self._transcribe_final(cut, audio))
        decoding.add_done_callback(lambda _: self._changed.set())
        self._windows.append((cut, decoding))

    def _settle(self) -> None:
        """Send the text of the windows that are done, in their order."""
        while self._windows and self._windows[0][1].done():
            cut, decoding = self._windows.popleft()
            result = labelled(self._tracker, decoding.result())
            self._recognizer.remember(result)
            self._update_info(result.info)
            self._send(self._agreement.final(result.text))
            segments = [placed(segment, cut) for segment in result.segments]
            if self._agreement.sent_text and not segments:
                segments = [Segment(cut.spans[0].start, cut.spans[-1].end, "")]
            texts = _texts(self._before, self._agreement.sent_text, [segment.text for segment in segments])
            segments = [replace(segment, text=text) for segment, text in zip(segments, texts, strict=True)]
            self._segments += segments
            if self._on_window is not None:
                self._on_window(Transcript(result.info, tuple(segments)), self._is_split and not self._windows, cut.end)
            self._before = self._text
            self._agreement = Agreement(self._before)

    def _start_final_passes_early(self) -> None:
        """Decode the audio so far as if it were complete."""
        self._pausing = False
        self._drop_partial()
        windows = {_without_tail(cut): audio for cut, audio in self._segmenter.open()}
        for cut in self._early.keys() - windows.keys():
            self._early.pop(cut).cancel()
        for cut, audio in windows.items():
            if cut not in self._early:
                self._early[cut] = self._begin(self._transcribe_ahead(cut, audio, self._agreement))
        if self._on_early is not None and self._early:
            passes = [*(decoding for _, decoding in self._windows), *self._early.values()]
            self._begin(self._report_early(self._generation, passes))

    async def _report_early(self, generation: int, passes: Iterable[asyncio.Task[Decoded]]) -> None:
        """Report the text as it is if the audio ends here, once its passes are done. A failed pass is not reported before the end."""
        await asyncio.wait(passes)
        if generation != self._generation or self._on_early is None:
            return
        text, agreement = self._before, copy.copy(self._agreement)
        for decoding in [*(decoding for _, decoding in self._windows), *self._early.values()]:
            if not decoding.done() or decoding.cancelled() or decoding.exception() is not None:
                return
            agreement.final(decoding.result().transcript.text)
            text += agreement.sent_text
            agreement = Agreement(text)
        self._on_early(text)

    def _start_partial_pass(self) -> None:
        """Start a partial pass if there is enough new speech and no more urgent work."""
        now = time.monotonic()
        has_partial_callback = self._on_delta is not None or self._on_draft is not None
        if self._admitted.model.id != self._recognizer.model:
            return  # the queue of the session's model is full
        if not has_partial_callback or self._partial is not None or self._windows or now < self._rested_at or self._recognizer.is_busy:
            return
        if self._segmenter.seconds < self._checked_s + CHECK_EVERY_S:
            return
        self._checked_s = self._segmenter.seconds
        if not (windows := self._segmenter.open()):
            return
        cut, audio = windows[0]
        speech_end_s = cut.spans[-1].end
        first_s = PASS_EVERY_S if self._on_delta is None else FIRST_PASS_S
        if speech_end_s >= max(self._passed_s + PASS_EVERY_S, cut.spans[0].start + first_s):
            self._passed_s = speech_end_s
            self._partial = self._begin(self._transcribe_partial(audio, now))

    async def _transcribe_partial(self, audio: Audio, began: float) -> None:
        try:
            result = await self._recognizer.transcribe(audio, final=False, language=self._language)
        except SpeechError:
            return  # the final pass fails in the same way, and raises the error to the caller
        finally:
            if self._partial is asyncio.current_task():
                self._partial = None
            self._rested_at = time.monotonic() + REST_FACTOR * (time.monotonic() - began)
        if result.text:
            self._update_info(result.info)
            self._send_partial(result)
        self._changed.set()

    async def _transcribe_final(self, cut: Cut, audio: Audio) -> Decoded:
        speech = cut.speech()
        return await decoded(self._tracker, audio, speech, self._text_of(audio, speech))

    async def _text_of(self, audio: Audio, speech: tuple[tuple[float, float], ...]) -> Transcript:
        with self._admitted.ticket.waiting():
            return await self._recognizer.transcribe_final(audio, language=self._language, speech=speech, model=self._admitted.model)

    async def _transcribe_ahead(self, cut: Cut, audio: Audio, agreement: Agreement) -> Decoded:
        result = await self._transcribe_final(cut, audio)
        # If speech continues, this serves as a partial pass.
        if agreement is self._agreement and not self._windows:
            self._send_partial(result.transcript)
        return result

    def _drop_partial(self) -> None:
        if self._partial is not None:
            self._partial.cancel()
            self._partial = None

    def _update_info(self, info: TranscriptInfo) -> None:
        if self._language is None and info.language_probability >= SURE:
            self._language = info.language
        if info.language and info.language_probability >= self._info.language_probability:
            self._info = info

    def _send_partial(self, result: Transcript) -> None:
        if self._on_delta is not None:
            self._send(self._agreement.partial(result.text))
        if self._on_draft is not None:
            self._on_draft(result.text)

    def _send(self, delta: str) -> None:
        self._text += delta
        if delta and self._on_delta is not None:
            self._on_delta(delta)

    def _begin(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(_retrieve_exception)
        return task


def _without_tail(cut: Cut) -> Cut:
    """Return a window without the silence at its end, as a key: more silence does not change the text."""
    return replace(cut, end=cut.spans[-1].end)


def _texts(before: str, sent: str, parts: list[str]) -> list[str]:
    """Return the share of each segment in the text that was sent, with the space before it."""
    shares = list(parts)
    if shares:
        shares[0] = joined(before, shares[0])
        shares[-1] = shares[-1].rstrip()
    return shares if "".join(shares) == sent else shared_out(sent, parts)


def _retrieve_exception(task: asyncio.Task[Any]) -> None:
    """Retrieve the exception of a task, so that asyncio does not log it as never retrieved."""
    if not task.cancelled():
        task.exception()
