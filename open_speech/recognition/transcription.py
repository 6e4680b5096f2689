"""The transcription of one file: windows are sent to the runner concurrently, segments are returned in order of time."""

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
from open_speech.recognition.segmentation import WindowStream
from open_speech.recognition.windows import Cut, placed
from open_speech.transcript import Segment, Transcript, TranscriptInfo

IN_FLIGHT = 8
"""Windows of one request in flight at a time: enough to fill every batch, few enough that a long file leaves room for others."""
PILOTS = 2
"""Windows that detect the language of a file when none is given; later windows use it unless they are sure of another one."""
SURE = 0.9
"""Probability from which a window keeps another language: speakers do switch languages."""

Recognize = Callable[[Window], Awaitable[WindowResult]]
Items = AsyncGenerator[TranscriptInfo | Segment, None]


@dataclass
class TranscriptionStream:
    """An async iterator of final segments in order of time. The work has begun when it is returned, so errors are raised first."""

    info: TranscriptInfo
    """Its duration is that of the audio transcribed so far, and the total once the iterator has ended."""
    _segments: AsyncGenerator[Segment, None]
    _first: Segment | None = None

    @property
    def progress(self) -> float:
        """Seconds of audio transcribed so far."""
        return self.info.duration

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Segment:
        first, self._first = self._first, None
        return first if first is not None else await anext(self._segments)

    async def aclose(self) -> None:
        """Stop the work. May be called repeatedly, and after the end."""
        await self._segments.aclose()

    async def whole(self) -> Transcript:
        """Wait for the end and return the whole transcript."""
        async with aclosing(self):
            segments = [segment async for segment in self]
        return Transcript(self.info, tuple(segments))

    @classmethod
    async def begin(cls, items: Items) -> Self:
        """Wait for the first segment, or the end. `items` yields an info first, and another whenever more is known."""
        stream = cls(TranscriptInfo("", 0.0, 0.0), _no_segments())
        stream._segments = stream._filtered(items)
        try:
            stream._first = await anext(stream._segments, None)
        except BaseException:
            await items.aclose()
            raise
        return stream

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


async def by_windows(stream: WindowStream, options: TranscribeOptions, recognize: Recognize, pool: ThreadPoolExecutor) -> Items:
    """Transcribe window by window: windows are cut in `pool`, several are transcribed at once, segments are yielded in order.

    Raises SpeechError's children, those of the decoder and of the runner.
    """
    language = _Language(options.language)
    task = options.task
    yield TranscriptInfo(options.language or "", 1.0 if options.language else 0.0, 0.0, task)
    async with aclosing(_results(stream, options, recognize, pool, language)) as results:
        async for cut, result in results:
            yield TranscriptInfo(language.code or result.language, language.probability, cut.end, task)
            for segment in result.segments:
                shifted = replace(placed(segment, cut), language=segment.language or result.language)
                language.count(shifted, result.language_probability)
                yield shifted
    yield TranscriptInfo(*language.dominant(), stream.seconds, task)


class _Language:
    """The language of one file: given by the request, or detected in the first windows."""

    def __init__(self, given: str | None) -> None:
        self.code = given
        self.probability = 1.0 if given else 0.0
        self._given = given is not None
        self._sums: dict[str, list[float]] = {}
        """Language -> its seconds of speech, and the sum of seconds times probability."""

    def count(self, segment: Segment, probability: float) -> None:
        """Count a segment; `probability` is that of its language in its window."""
        sums = self._sums.setdefault(segment.language or "", [0.0, 0.0])
        sums[0] += segment.end - segment.start
        sums[1] += (segment.end - segment.start) * probability

    def dominant(self) -> tuple[str, float]:
        """Return the language with the most seconds of speech and its probability: the given one, or `en` without any speech."""
        code = max(self._sums, key=lambda language: self._sums[language][0], default=None)
        if self._given or code is None or code == self.code:
            return self.code or "en", self.probability
        seconds, weighted = self._sums[code]
        return code, weighted / seconds if seconds else 0.0

    def options(self, options: TranscribeOptions) -> TranscribeOptions:
        """Return the options of the next window: the given language, or the detected one as the expected language."""
        return options if self._given else replace(options, expected=self.code)

    def doubts(self, result: WindowResult) -> bool:
        """Return whether a window was decoded in another language without being sure of it."""
        return not self._given and result.language != self.code and result.language_probability < SURE

    def detect(self, pilots: Iterable[tuple[float, WindowResult]]) -> None:
        """Choose the language by the first windows, each given with its seconds."""
        if not self._given and (winner := vote(pilots)) is not None:
            self.code, self.probability = winner


def vote(results: Iterable[tuple[float, WindowResult]]) -> tuple[str, float] | None:
    """Return the language with the largest sum of seconds times probability, and its mean probability; None without windows."""
    votes: dict[str, float] = {}
    total = 0.0
    for seconds, window in results:
        votes[window.language] = votes.get(window.language, 0.0) + seconds * window.language_probability
        total += seconds
    if not total:
        return None
    best = max(votes, key=votes.__getitem__)
    return best, votes[best] / total


InFlight = tuple[Cut, Window, asyncio.Future[WindowResult]]


async def _results(
    stream: WindowStream, options: TranscribeOptions, recognize: Recognize, pool: ThreadPoolExecutor, language: _Language
) -> AsyncGenerator[tuple[Cut, WindowResult], None]:
    """Yield each window's result in order, with at most IN_FLIGHT windows in flight."""
    windows: asyncio.Queue[InFlight | None] = asyncio.Queue(IN_FLIGHT)
    in_flight: set[asyncio.Future[WindowResult]] = set()
    language_known = asyncio.Event()
    if language.code:
        language_known.set()

    async def send() -> None:
        sent = 0
        async with aclosing(step_by_step(lambda: iter(stream), pool)) as cuts:
            async for cut, audio in cuts:
                if sent >= PILOTS:
                    await language_known.wait()
                window = Window(audio, language.options(options), cut.speech())
                result = asyncio.ensure_future(recognize(window))
                in_flight.add(result)
                result.add_done_callback(in_flight.discard)
                await windows.put((cut, window, result))
                sent += 1
        await windows.put(None)

    sending = asyncio.create_task(send())
    try:
        async for pair in _in_order(windows, sending, recognize, language, language_known):
            yield pair
    finally:
        sending.cancel()
        await asyncio.wait({sending})
        remaining = list(in_flight)
        for result in remaining:
            result.cancel()
        await asyncio.gather(*remaining, return_exceptions=True)


async def _in_order(
    windows: asyncio.Queue[InFlight | None],
    sending: asyncio.Task[None],
    recognize: Recognize,
    language: _Language,
    language_known: asyncio.Event,
) -> AsyncGenerator[tuple[Cut, WindowResult], None]:
    pilots: list[tuple[Cut, Window, WindowResult]] = []
    while (sent := await _next(windows, sending)) is not None:
        cut, window, pending = sent
        result = await pending
        if language_known.is_set():
            yield cut, await _in_language(window, result, recognize, language)
            continue
        pilots.append((cut, window, result))
        if len(pilots) == PILOTS:
            for pair in await _decided(pilots, recognize, language):
                yield pair
            language_known.set()
    if not language_known.is_set():
        for pair in await _decided(pilots, recognize, language):
            yield pair


async def _decided(
    pilots: list[tuple[Cut, Window, WindowResult]], recognize: Recognize, language: _Language
) -> list[tuple[Cut, WindowResult]]:
    """Choose the language by the first windows, and decode again those that took another one without being sure."""
    language.detect([(window.audio.seconds, result) for _, window, result in pilots])
    return [(cut, await _in_language(window, result, recognize, language)) for cut, window, result in pilots]


async def _in_language(window: Window, result: WindowResult, recognize: Recognize, language: _Language) -> WindowResult:
    """Decode a window again in the language of the audio if it was decoded in another one without being sure."""
    return await recognize(replace(window, options=replace(window.options, language=language.code))) if language.doubts(result) else result


async def _next(windows: asyncio.Queue[InFlight | None], sending: asyncio.Task[None]) -> InFlight | None:
    """Return the next window that was sent, None at the end. Raises what the sending task raised."""
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
