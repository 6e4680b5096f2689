from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import suppress
from typing import Any

import numpy as np
import pytest

from open_speech.audio import Audio
from open_speech.backends import BackendEntry, ModelEntry, Task, WindowResult
from open_speech.dispatch.admission import Admission
from open_speech.dispatch.client import RunnerClient
from open_speech.dispatch.frames import END, TranscribeCall, WindowCall, error_frame, transcript_frame, window_frame
from open_speech.dispatch.link import RunnerGone
from open_speech.errors import BackendFailed
from open_speech.recognition.live.recognizer import LiveRecognizers
from open_speech.registry import Defaults, Registry
from open_speech.transcript import Segment, TranscriptInfo
from tests.fake_runner import FakeRunner

WORD_S = 0.5


def spoken(*words: int) -> Audio:
    """Sound that Reader understands: each number from 1 to 9 is half a second of its own loudness, 0 is silence."""
    return Audio(np.repeat(np.array(words, np.float32) / 10, round(WORD_S * 16_000)), 16_000)


class Reader(FakeRunner):
    """A runner that reads `spoken`, and notes how it was asked."""

    def __init__(self) -> None:
        self.calls: list[TranscribeCall] = []
        self.deaths = 0
        """Calls under which it will still die."""
        self.broken = False
        self.misreads: Callable[[list[str]], list[str]] = lambda words: words
        """What becomes of the words of a draft."""
        self.together = 0
        """Calls that wait for each other and are answered at the same time; 0: each is answered at once."""
        self.most_at_once = 0
        self._waiting: list[asyncio.Event] = []

    @property
    def drafts(self) -> int:
        return sum(call.unpack()[1].draft for call in self.calls)

    async def _others(self) -> None:
        """Wait until as many calls as are answered together are there, or no further one arrives."""
        if not self.together:
            return
        mine = asyncio.Event()
        self._waiting.append(mine)
        self.most_at_once = max(self.most_at_once, len(self._waiting))
        if len(self._waiting) < self.together:
            with suppress(TimeoutError):
                async with asyncio.timeout(0.3):
                    await mine.wait()
        for other in self._waiting:
            other.set()
        self._waiting.clear()

    async def transcribe(self, call: TranscribeCall) -> AsyncGenerator[bytes, None]:
        await self._others()
        segments = self._read(call)
        if self.broken:
            yield error_frame(BackendFailed("broken")).encode()
            return
        yield transcript_frame(TranscriptInfo("en", 1.0, 0.0)).encode()
        for segment in segments:
            yield transcript_frame(segment).encode()
        yield END.encode()

    async def hear(self, call: WindowCall) -> AsyncGenerator[bytes, None]:
        await self._others()
        yield window_frame(WindowResult("en", 0.95, tuple(self._read(call)))).encode() + END.encode()

    def _read(self, call: TranscribeCall) -> list[Segment]:
        self.calls.append(call)
        if self.deaths:
            self.deaths -= 1
            raise RunnerGone("died")
        audio, options = call.unpack()
        levels = np.rint(audio.samples[1000 :: round(WORD_S * 16_000)] * 10).astype(int)
        words = [f"w{level}" for level in levels if level]
        if options.draft:
            words = self.misreads(words)
        return [Segment(0, audio.seconds, " " + " ".join(words), avg_logprob=-0.1)] if words else []


@pytest.fixture
def reader() -> Reader:
    return Reader()


@pytest.fixture
def say() -> Callable[..., Audio]:
    """`spoken`."""
    return spoken


@pytest.fixture
def runners(reader: Reader) -> dict[str, RunnerClient]:
    return {"reader": RunnerClient("reader", reader, deadline_s=5)}


@pytest.fixture
def admission(runners: dict[str, RunnerClient]) -> Admission:
    return Admission(runners, max_queue=4, patience_s=5)


@pytest.fixture
def recognizers(runners: dict[str, RunnerClient], admission: Admission) -> LiveRecognizers:
    """Ears over `reader`, for a server that has no speech detector."""
    backend = BackendEntry("reader", Task.STT, "x:X", (), "", "MIT", window_s=5)
    registry = Registry(
        [backend], [ModelEntry("reader", "reader", Task.STT, "MIT", ("en",))], {"reader": "process"}, Defaults("reader", "", "")
    )
    return LiveRecognizers(registry, runners, _no_detector, None, admission)


def _no_detector() -> Any:
    raise AssertionError("nobody asked for a detector")
