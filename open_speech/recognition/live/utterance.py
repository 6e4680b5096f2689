"""The transcription of something that is still being said: pieces of text as they become certain, and at its end the whole."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from open_speech.audio import Audio
from open_speech.errors import AudioTooLong, SpeechError
from open_speech.recognition.live.local_agreement import Agreement, joined, shared_out
from open_speech.recognition.live.recognizer import SURE, LiveRecognizer
from open_speech.recognition.live.segmenter import Stretch
from open_speech.recognition.vad import VAD_RATE
from open_speech.recognition.windows import Cut, placed
from open_speech.transcript import Segment, Transcript, TranscriptInfo

PASS_EVERY_S = 0.7
"""New speech, in seconds, that is worth a partial pass."""
FIRST_PASS_S = 1.2
"""Speech, in seconds, of which a pass may be believed: of less, two passes agree on what was never said."""
LOOK_EVERY_S = 0.1
"""New sound, in seconds, that is worth a look at how much speech is in it."""
REST = 2.0
"""A partial pass comes no sooner after the one before than this many times as long as that one took: a busy machine has fewer of them."""
OUT = 3
"""Windows of one utterance that are decoded at once; more sound waits until one is done."""
BLOCK = 2 * VAD_RATE
"""Samples that are searched for speech at a time, in about 2 ms."""
ROOM = 30 * VAD_RATE
"""Samples that may wait to be taken in, after which `room` waits."""


class Utterance:
    """From the first sound to the last, on the running event loop; it ends by `finish` or `cancel`."""

    def __init__(
        self,
        recognizer: LiveRecognizer,
        on_delta: Callable[[str], None] | None = None,
        *,
        on_draft: Callable[[str], None] | None = None,
        on_window: Callable[[Transcript, bool], None] | None = None,
    ) -> None:
        """`on_delta` gets each new piece of text: what is given out stays, and joined they are the text that `finish` gives.

        Who can replace text is better served by drafts, which cost the final text nothing: `on_draft` gets all that is understood so far
        of what `on_window` has not been given yet; that gets the final text, window by window where somebody speaks for long, and
        whether it is the last.
        """
        self._recognizer = recognizer
        self._on_delta = on_delta
        self._on_draft = on_draft
        self._on_window = on_window
        self._stretches = recognizer.stretches()
        self._waiting: deque[NDArray[np.float32]] = deque()
        self._samples = 0
        """Samples that wait."""
        self._text = ""
        """All that was given out."""
        self._before = ""
        """Of that, the text of the windows that are done."""
        self._agreement = Agreement()
        self._info = TranscriptInfo("", 0.0, 0.0, recognizer.task)
        self._segments: list[Segment] = []
        self._windows: deque[tuple[Cut, asyncio.Task[Transcript]]] = deque()
        """Windows that are complete and being decoded."""
        self._ahead: dict[Cut, asyncio.Task[Transcript]] = {}
        """Windows that are complete if nobody goes on speaking, by what is spoken in them."""
        self._partial: asyncio.Task[None] | None = None
        self._looked_s = self._passed_s = 0.0
        """How far the sound went when it was last looked at, and the speech when it was last heard in a partial pass."""
        self._rested_at = 0.0
        self._language: str | None = None
        self._tasks: set[asyncio.Task[Any]] = set()
        self._changed = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._pausing = self._ending = self._cut_up = False
        self._work = asyncio.create_task(self._listen())

    @property
    def has_failed(self) -> bool:
        """Whether it is over before its end: `finish` raises why."""
        return self._work.done() and not self._ending

    def feed(self, audio: Audio) -> None:
        """Take the next sound, at VAD_RATE; never waits."""
        if self._work.done():
            return  # it failed, or was cancelled
        self._waiting.append(audio.samples)
        self._samples += len(audio.samples)
        if self._samples > ROOM:
            self._room.clear()
        self._changed.set()

    async def room(self) -> None:
        """Wait until there is room for more sound: who feeds faster than can be heard awaits this before the next piece."""
        room = asyncio.ensure_future(self._room.wait())
        try:
            await asyncio.wait({room, self._work}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            room.cancel()

    def pause(self) -> None:
        """Take that a silence has begun: what is there is decoded as if it were all, so that it is ready if it was."""
        self._pausing = True
        self._changed.set()

    def end(self) -> None:
        """Take that the sound is complete. Told at once with its last piece, as a partial pass begun in between would delay the text."""
        self._ending = True
        self._changed.set()

    async def finish(self) -> Transcript:
        """Wait for the whole text; times count from the first sound. Raises SpeechError's children."""
        self.end()
        await self._work
        return Transcript(replace(self._info, duration=self._stretches.seconds), tuple(self._segments))

    def cancel(self) -> None:
        """Stop; nothing more is given out."""
        self._on_delta = self._on_draft = self._on_window = None
        self._waiting.clear()
        self._work.cancel()
        self._work.add_done_callback(_noticed)

    async def _listen(self) -> None:
        """Hear all that comes, to its end. Raises what refuses it, too: Overloaded, Stopping."""
        try:
            with self._recognizer.admitted() as self._ticket:
                await self._hear_all()
        finally:
            self._room.set()
            for task in self._tasks:
                task.cancel()

    async def _hear_all(self) -> None:
        while not (self._ending and not self._waiting):
            await self._changed.wait()
            self._changed.clear()
            await self._take()
            self._settle()
            if self._waiting and len(self._windows) < OUT:
                # Windows of one batch are done at once. There is room again, and no other window whose end would wake this loop.
                self._changed.set()
            if self._ending:
                continue
            if self._pausing:
                self._look_ahead()
            else:
                self._hear_what_is_there()
        for stretch in self._stretches.finish():
            self._complete(stretch)
        self._cut_up = True
        while self._windows:
            await asyncio.wait({self._windows[0][1]})
            self._settle()

    async def _take(self) -> None:
        """Take in the sound that waits, as long as not too many windows are being decoded."""
        while self._waiting and len(self._windows) < OUT:
            block = self._waiting.popleft()
            while self._waiting and len(block) + len(self._waiting[0]) <= BLOCK:
                block = np.concatenate([block, self._waiting.popleft()])
            if len(block) > BLOCK:
                self._waiting.appendleft(block[BLOCK:])
                block = block[:BLOCK]
            # Sound that comes as it is said is searched in passing; who has a lot of it at once is not to hold up the others.
            crowded = self._waiting or len(block) > BLOCK // 4
            stretches = await asyncio.to_thread(self._stretches.feed, block) if crowded else self._stretches.feed(block)
            self._samples -= len(block)
            if self._stretches.seconds > self._recognizer.longest_s:
                raise AudioTooLong(f"The audio is longer than the limit of {self._recognizer.longest_s:g} s.", param="audio")
            for stretch in stretches:
                self._complete(stretch)
        if self._samples <= ROOM:
            self._room.set()

    def _complete(self, stretch: Stretch) -> None:
        """Have a window decoded that is complete, if it is not being decoded already."""
        cut, sound = stretch
        self._drop_partial()
        decoding = self._ahead.pop(_spoken(cut), None) or self._begin(self._transcribe_final(cut, sound))
        decoding.add_done_callback(lambda _: self._changed.set())
        self._windows.append((cut, decoding))

    def _settle(self) -> None:
        """Give out the text of the windows that are done, in their order."""
        while self._windows and self._windows[0][1].done():
            cut, decoding = self._windows.popleft()
            heard = decoding.result()
            self._recognizer.remember(heard)
            self._found(heard.info)
            self._give(self._agreement.final(heard.text))
            segments = [placed(segment, cut) for segment in heard.segments]
            if self._agreement.said and not segments:
                segments = [Segment(cut.spans[0].start, cut.spans[-1].end, "")]
            texts = _texts(self._before, self._agreement.said, [segment.text for segment in segments])
            segments = [replace(segment, text=text) for segment, text in zip(segments, texts, strict=True)]
            self._segments += segments
            if self._on_window is not None:
                self._on_window(Transcript(heard.info, tuple(segments)), self._cut_up and not self._windows)
            self._before = self._text
            self._agreement = Agreement(self._before)

    def _look_ahead(self) -> None:
        """Decode what is there as if it were all."""
        self._pausing = False
        self._drop_partial()
        stretches = {_spoken(cut): sound for cut, sound in self._stretches.open()}
        for cut in self._ahead.keys() - stretches.keys():
            self._ahead.pop(cut).cancel()
        for cut, sound in stretches.items():
            if cut not in self._ahead:
                self._ahead[cut] = self._begin(self._hear_ahead(cut, sound, self._agreement))

    def _hear_what_is_there(self) -> None:
        """Begin a partial pass, if there is enough new speech and nothing more urgent."""
        now = time.monotonic()
        wanted = self._on_delta is not None or self._on_draft is not None
        if not wanted or self._partial is not None or self._windows or now < self._rested_at or self._recognizer.is_busy:
            return
        if self._stretches.seconds < self._looked_s + LOOK_EVERY_S:
            return
        self._looked_s = self._stretches.seconds
        if not (stretches := self._stretches.open()):
            return
        cut, sound = stretches[0]
        spoken_s = cut.spans[-1].end
        first_s = PASS_EVERY_S if self._on_delta is None else FIRST_PASS_S
        if spoken_s >= max(self._passed_s + PASS_EVERY_S, cut.spans[0].start + first_s):
            self._passed_s = spoken_s
            self._partial = self._begin(self._hear(sound, now))

    async def _hear(self, sound: Audio, began: float) -> None:
        try:
            heard = await self._recognizer.hear(sound, final=False, language=self._language)
        except SpeechError:
            return  # the final pass meets the same, and its caller is told
        finally:
            if self._partial is asyncio.current_task():
                self._partial = None
            self._rested_at = time.monotonic() + REST * (time.monotonic() - began)
        if heard.text:
            self._found(heard.info)
            self._guess(heard)
        self._changed.set()

    async def _transcribe_final(self, cut: Cut, sound: Audio) -> Transcript:
        with self._ticket.waiting():
            return await self._recognizer.transcribe_final(sound, language=self._language, speech=cut.speech())

    async def _hear_ahead(self, cut: Cut, sound: Audio, agreement: Agreement) -> Transcript:
        heard = await self._transcribe_final(cut, sound)
        # If they do go on, this was a good partial pass.
        if agreement is self._agreement and not self._windows:
            self._guess(heard)
        return heard

    def _drop_partial(self) -> None:
        if self._partial is not None:
            self._partial.cancel()
            self._partial = None

    def _found(self, info: TranscriptInfo) -> None:
        if self._language is None and info.language_probability >= SURE:
            self._language = info.language
        if info.language and info.language_probability >= self._info.language_probability:
            self._info = info

    def _guess(self, heard: Transcript) -> None:
        if self._on_delta is not None:
            self._give(self._agreement.partial(heard.text))
        if self._on_draft is not None:
            self._on_draft(heard.text)

    def _give(self, delta: str) -> None:
        self._text += delta
        if delta and self._on_delta is not None:
            self._on_delta(delta)

    def _begin(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(_noticed)
        return task


def _spoken(cut: Cut) -> Cut:
    """Name a window by what is spoken in it: more silence at its end changes nothing."""
    return replace(cut, end=cut.spans[-1].end)


def _texts(before: str, said: str, parts: list[str]) -> list[str]:
    """Give each segment its share of what was said, with the space that parts it from the one before."""
    shares = list(parts)
    if shares:
        shares[0] = joined(before, shares[0])
        shares[-1] = shares[-1].rstrip()
    return shares if "".join(shares) == said else shared_out(said, parts)


def _noticed(task: asyncio.Task[Any]) -> None:
    """Look at how a task ended, lest asyncio complain that nobody did."""
    if not task.cancelled():
        task.exception()
