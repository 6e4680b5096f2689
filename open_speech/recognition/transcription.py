"""A transcription while it is made: windows go out to the runner side by side, segments come back in order of time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Self

from open_speech.backends import TranscribeOptions, Window, WindowResult
from open_speech.concurrency.blocking_iterators import step_by_step
from open_speech.errors import BackendFailed, SpeechError
from open_speech.recognition.hallucinations import is_hallucination
from open_speech.recognition.segmentation import Cutting
from open_speech.recognition.windows import Cut, placed
from open_speech.transcript import Segment, Transcript, TranscriptInfo

IN_FLIGHT = 8
"""Windows of one request that are out at once: enough to fill every batch, few enough that a film leaves room for others."""
PILOTS = 2
"""Windows that find the language of an audio when none is given; the rest are taken to be in it unless they are sure of another."""
SURE = 0.9
"""A window this sure of another language keeps it: people do change their language."""

Recognize = Callable[[Window], Awaitable[WindowResult]]
Items = AsyncGenerator[TranscriptInfo | Segment, None]


@dataclass
class TranscriptionStream:
    """An async iterator of segments, each final, in order of time. Begun before it is handed out, so errors come first."""

    info: TranscriptInfo
    """Its duration is that of the audio heard so far, and of the whole once the iterator has ended."""
    _segments: AsyncGenerator[Segment, None]
    _first: Segment | None = None

    @property
    def progress(self) -> float:
        """Seconds of audio that are done."""
        return self.info.duration

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Segment:
        first, self._first = self._first, None
        return first if first is not None else await anext(self._segments)

    async def aclose(self) -> None:
        """Stop the work; safe to call again, and after the end."""
        await self._segments.aclose()

    async def whole(self) -> Transcript:
        """Wait for the end and give everything at once."""
        async with aclosing(self):
            segments = [segment async for segment in self]
        return Transcript(self.info, tuple(segments))

    @classmethod
    async def begin(cls, items: Items) -> Self:
        """Wait for the first segment, or the end. `items` gives an info at first, and again whenever more of it is known."""
        listening = cls(TranscriptInfo("", 0.0, 0.0), _no_segments())
        listening._segments = listening._filtered(items)
        try:
            listening._first = await anext(listening._segments, None)
        except BaseException:
            await items.aclose()
            raise
        return listening

    async def _filtered(self, items: Items) -> AsyncGenerator[Segment, None]:
        async with aclosing(items):
            async for item in items:
                if isinstance(item, TranscriptInfo):
                    self.info = item
                elif not is_hallucination(item, self.info.language):
                    yield item


async def _no_segments() -> AsyncGenerator[Segment, None]:
    return
    yield


async def by_windows(cutting: Cutting, options: TranscribeOptions, hear: Recognize, pool: ThreadPoolExecutor) -> Items:
    """Transcribe window by window: cut in `pool`, several at once in the runner, given in order.

    Raises SpeechError's children, of the decoder and of the runner.
    """
    language = _Language(options.language)
    task = options.task
    yield TranscriptInfo(options.language or "", 1.0 if options.language else 0.0, 0.0, task)
    async with aclosing(_heard(cutting, options, hear, pool, language)) as results:
        async for cut, heard in results:
            yield TranscriptInfo(language.code or heard.language, language.probability, cut.end, task)
            for segment in heard.segments:
                spoken = replace(placed(segment, cut), language=segment.language or heard.language)
                language.said(spoken, heard.language_probability)
                yield spoken
    yield TranscriptInfo(*language.most(), cutting.seconds, task)


class _Language:
    """What is known of the language of one audio: given, or found by its first windows."""

    def __init__(self, given: str | None) -> None:
        self.code = given
        self.probability = 1.0 if given else 0.0
        self._given = given is not None
        self._said: dict[str, list[float]] = {}
        """Language -> seconds in which it was spoken, and these times their probability."""

    def said(self, segment: Segment, probability: float) -> None:
        """Count a segment, in whose window its language had this probability."""
        sums = self._said.setdefault(segment.language or "", [0.0, 0.0])
        sums[0] += segment.end - segment.start
        sums[1] += (segment.end - segment.start) * probability

    def most(self) -> tuple[str, float]:
        """Return the language that was spoken for the most time and its probability; the given one, or `en` if nobody spoke."""
        code = max(self._said, key=lambda spoken: self._said[spoken][0], default=None)
        if self._given or code is None or code == self.code:
            return self.code or "en", self.probability
        seconds, weighed = self._said[code]
        return code, weighed / seconds if seconds else 0.0

    def options(self, options: TranscribeOptions) -> TranscribeOptions:
        """Return how to decode the next window: in the given language, or in the one that was found unless it is surely in another."""
        return options if self._given else replace(options, expected=self.code)

    def doubts(self, heard: WindowResult) -> bool:
        """Return whether a window was decoded in another language without being sure of it."""
        return not self._given and heard.language != self.code and heard.language_probability < SURE

    def found(self, pilots: Iterable[tuple[float, WindowResult]]) -> None:
        """Settle on the language of the pilots, given with their seconds."""
        if not self._given and (winner := vote(pilots)) is not None:
            self.code, self.probability = winner


def vote(heard: Iterable[tuple[float, WindowResult]]) -> tuple[str, float] | None:
    """Choose the language with the most probability over the most time, of windows given with their seconds; None without any."""
    votes: dict[str, float] = {}
    total = 0.0
    for seconds, window in heard:
        votes[window.language] = votes.get(window.language, 0.0) + seconds * window.language_probability
        total += seconds
    if not total:
        return None
    best = max(votes, key=votes.__getitem__)
    return best, votes[best] / total


Sent = tuple[Cut, Window, asyncio.Future[WindowResult]]


async def _heard(
    cutting: Cutting, options: TranscribeOptions, hear: Recognize, pool: ThreadPoolExecutor, language: _Language
) -> AsyncGenerator[tuple[Cut, WindowResult], None]:
    """Give each window's result in order, with at most IN_FLIGHT of them out at once."""
    windows: asyncio.Queue[Sent | None] = asyncio.Queue(IN_FLIGHT)
    out: set[asyncio.Future[WindowResult]] = set()
    settled = asyncio.Event()
    if language.code:
        settled.set()

    async def send() -> None:
        sent = 0
        async with aclosing(step_by_step(lambda: iter(cutting), pool)) as cuts:
            async for cut, sound in cuts:
                if sent >= PILOTS:
                    await settled.wait()
                window = Window(sound, language.options(options), cut.speech())
                result = asyncio.ensure_future(hear(window))
                out.add(result)
                result.add_done_callback(out.discard)
                await windows.put((cut, window, result))
                sent += 1
        await windows.put(None)

    sending = asyncio.create_task(send())
    try:
        async for pair in _in_order(windows, sending, hear, language, settled):
            yield pair
    finally:
        sending.cancel()
        await asyncio.wait({sending})
        left = list(out)
        for result in left:
            result.cancel()
        await asyncio.gather(*left, return_exceptions=True)


async def _in_order(
    windows: asyncio.Queue[Sent | None],
    sending: asyncio.Task[None],
    hear: Recognize,
    language: _Language,
    settled: asyncio.Event,
) -> AsyncGenerator[tuple[Cut, WindowResult], None]:
    pilots: list[tuple[Cut, Window, WindowResult]] = []
    while (sent := await _next(windows, sending)) is not None:
        cut, window, result = sent
        heard = await result
        if settled.is_set():
            yield cut, await _in_language(window, heard, hear, language)
            continue
        pilots.append((cut, window, heard))
        if len(pilots) == PILOTS:
            for pair in await _agreed(pilots, hear, language):
                yield pair
            settled.set()
    if not settled.is_set():
        for pair in await _agreed(pilots, hear, language):
            yield pair


async def _agreed(pilots: list[tuple[Cut, Window, WindowResult]], hear: Recognize, language: _Language) -> list[tuple[Cut, WindowResult]]:
    """Settle the language by the pilots, and hear again the one that took another without being sure."""
    language.found([(window.audio.seconds, heard) for _, window, heard in pilots])
    return [(cut, await _in_language(window, heard, hear, language)) for cut, window, heard in pilots]


async def _in_language(window: Window, heard: WindowResult, hear: Recognize, language: _Language) -> WindowResult:
    """Decode a window again in the language of the audio if it was decoded in another one without being sure."""
    return await hear(replace(window, options=replace(window.options, language=language.code))) if language.doubts(heard) else heard


async def _next(windows: asyncio.Queue[Sent | None], sending: asyncio.Task[None]) -> Sent | None:
    """Take the next window that was sent, None at the end. Raises what sending raised."""
    getting = asyncio.ensure_future(windows.get())
    try:
        await asyncio.wait({getting, sending}, return_when=asyncio.FIRST_COMPLETED)
        if not getting.done() and sending.done() and (failure := sending.exception()) is not None:
            if isinstance(failure, SpeechError):
                raise failure
            raise BackendFailed("The audio could not be read.") from failure
        return await getting
    finally:
        getting.cancel()
