"""The host of a runner process, on the tones backends and on small backends written here."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
import weakref
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from open_speech.audio import Audio, silence
from open_speech.backends import STT_RATE, BackendEntry, ModelEntry, Setup, SpeechOptions, Task, TranscribeOptions
from open_speech.dispatch.frames import Decoder, Frame, Kind, RunnerStatus, SpeakCall, TranscribeCall, error_of
from open_speech.errors import BackendFailed, UnknownVoice
from open_speech.registry import Defaults, Registry
from open_speech.transcript import Segment, TranscriptInfo
from open_speech.weights import Store
from runners.host.host import Host, HostOptions
from runners.host.memory import SETTLE_S
from tests.waiting import PATIENCE_S, eventually

MODEL = ModelEntry("toy", "toy", Task.TTS, "MIT", ("en",))


class Toy:
    """A synthesiser of ten pieces of 10 ms work each; counts what it did, as a real one would not."""

    loads = 0
    pieces = 0
    closed = 0
    load_s = 0.0
    piece_s = 0.01

    def __init__(self, setup: Setup) -> None:
        self.setup = setup

    def load(self) -> None:
        type(self).loads += 1
        time.sleep(self.load_s)

    def synthesize(self, text: str, options: SpeechOptions) -> Iterator[Audio]:
        if options.voice == "nobody":
            raise UnknownVoice("no such voice", param="voice")
        if text == "crash":
            raise ZeroDivisionError("secret detail")
        return self._sound()

    def _sound(self) -> Iterator[Audio]:
        try:
            for _ in range(10):
                time.sleep(self.piece_s)
                type(self).pieces += 1
                yield Audio(np.zeros(240, np.float32), 24_000)
        finally:
            type(self).closed += 1


@pytest.fixture
def toy() -> type[Toy]:
    return type("FreshToy", (Toy,), {})


def host(backend: type[Any], folder: Path, *, threads: int = 1, ttl_s: float = 0) -> Host:
    entry = BackendEntry("toy", Task.TTS, "nowhere:Toy", (), "", "MIT")
    registry = Registry([entry], [MODEL], {"toy": "process"}, Defaults("", "toy", ""))
    options = HostOptions(ttl_s=ttl_s, heartbeat_s=0.02)
    return Host(backend, registry, Store(folder, offline=True), options, threads=threads)


async def frames_of(answer: AsyncGenerator[bytes, None]) -> list[Frame]:
    decoder = Decoder()
    return [frame async for chunk in answer for frame in decoder.feed(chunk)]


def call(text: str = "hello", voice: str = "v") -> SpeakCall:
    return SpeakCall.of("toy", text, SpeechOptions(voice))


def test_an_answer_is_its_pieces_and_then_an_end(toy: type[Toy], tmp_path: Path) -> None:
    frames = asyncio.run(frames_of(host(toy, tmp_path).call(call())))
    assert [frame.kind for frame in frames] == [Kind.AUDIO] * 10 + [Kind.END]


def test_nothing_is_loaded_before_the_first_call_and_then_once(toy: type[Toy], tmp_path: Path) -> None:
    async def scenario() -> tuple[int, int]:
        runner = host(toy, tmp_path)
        before = toy.loads
        await asyncio.gather(*(frames_of(runner.call(call())) for _ in range(4)))
        return before, toy.loads

    assert asyncio.run(scenario()) == (0, 1)


def test_a_typed_error_crosses_as_itself(toy: type[Toy], tmp_path: Path) -> None:
    frames = asyncio.run(frames_of(host(toy, tmp_path).call(call(voice="nobody"))))
    error = error_of(frames[-1])
    assert isinstance(error, UnknownVoice)
    assert error.param == "voice"


def test_an_unforeseen_exception_becomes_backend_failed_without_its_detail(toy: type[Toy], tmp_path: Path) -> None:
    frames = asyncio.run(frames_of(host(toy, tmp_path).call(call("crash"))))
    error = error_of(frames[-1])
    assert isinstance(error, BackendFailed)
    assert "secret" not in error.message


async def nothing_is_loaded(runner: Host) -> None:
    async def is_so() -> bool:
        return (await runner.ask(RunnerStatus()))["loaded"] == {}

    await eventually(is_so)


def test_a_caller_who_leaves_stops_the_work_within_one_piece(toy: type[Toy], tmp_path: Path) -> None:
    toy.piece_s = 0.4

    async def scenario() -> None:
        async with aclosing(host(toy, tmp_path).call(call())) as answer:
            await anext(answer)
        await eventually(lambda: toy.closed)

    asyncio.run(scenario())
    assert toy.pieces <= 2
    assert toy.closed == 1


def test_a_caller_who_leaves_during_the_load_does_not_keep_the_model_for_ever(toy: type[Toy], tmp_path: Path) -> None:
    toy.load_s = 0.2

    async def scenario() -> None:
        runner = host(toy, tmp_path, ttl_s=0.05)
        answer = runner.call(call())
        first = await anext(answer)
        assert next(Decoder().feed(first)).kind is Kind.PROGRESS
        await answer.aclose()
        await asyncio.sleep(0.6)
        await nothing_is_loaded(runner)

    asyncio.run(scenario())
    assert toy.loads == 1


def test_no_more_calls_run_at_once_than_the_runner_has_threads(tmp_path: Path) -> None:
    running: list[int] = []
    peak: list[int] = []

    class Counting(Toy):
        def _sound(self) -> Iterator[Audio]:
            for audio in super()._sound():
                running.append(1)
                peak.append(len(running))
                time.sleep(0.005)
                running.pop()
                yield audio

    async def scenario() -> None:
        runner = host(Counting, tmp_path, threads=2)
        await asyncio.gather(*(frames_of(runner.call(call())) for _ in range(6)))

    asyncio.run(scenario())
    assert max(peak) <= 2


def test_an_idle_model_is_let_go(toy: type[Toy], tmp_path: Path) -> None:
    async def scenario() -> None:
        runner = host(toy, tmp_path, ttl_s=1)
        await frames_of(runner.call(call()))
        assert "toy" in (await runner.ask(RunnerStatus()))["loaded"]
        await nothing_is_loaded(runner)

    asyncio.run(scenario())


def test_a_listener_who_does_not_listen_holds_no_thread(toy: type[Toy], tmp_path: Path) -> None:
    async def scenario() -> int:
        runner = host(toy, tmp_path, threads=1)
        async with aclosing(runner.call(call())) as stalled:
            await anext(stalled)
            async with asyncio.timeout(PATIENCE_S):
                return len(await frames_of(runner.call(call())))

    assert asyncio.run(scenario()) == 11


def test_a_short_file_does_not_wait_for_the_end_of_a_long_one(tmp_path: Path) -> None:
    class Ear:
        def __init__(self, setup: Setup) -> None: ...

        def load(self) -> None: ...

        def transcribe(self, audio: Audio, options: TranscribeOptions) -> Iterator[TranscriptInfo | Segment]:
            yield TranscriptInfo("en", 1.0, audio.seconds)
            for second in range(round(audio.seconds)):
                time.sleep(0.01)
                yield Segment(second, second + 1, " word")

    async def scenario() -> list[str]:
        runner = host(Ear, tmp_path, threads=1)
        order: list[str] = []

        async def transcribe_windows(name: str, seconds: float) -> None:
            await frames_of(runner.call(TranscribeCall.of("toy", silence(seconds, STT_RATE), TranscribeOptions())))
            order.append(name)

        await asyncio.gather(transcribe_windows("long", 30), transcribe_windows("short", 2))
        return order

    assert asyncio.run(scenario()) == ["short", "long"]


class Knot:
    """Refers to itself, as a traceback and its frames do: only the collector frees it."""

    def __init__(self) -> None:
        self.itself = self


@pytest.mark.parametrize(
    ("seconds", "cut", "freed"),
    [(70, True, True), (20, True, False), (70, False, True), (20, False, False)],
    ids=["much was cut", "little was cut", "much came to its end before a pause", "little came to its end"],
)
def test_what_calls_have_left_is_given_back(seconds: float, cut: bool, freed: bool, tmp_path: Path) -> None:
    class Ear:
        def __init__(self, setup: Setup) -> None: ...

        def load(self) -> None: ...

        def transcribe(self, audio: Audio, options: TranscribeOptions) -> Iterator[TranscriptInfo | Segment]:
            yield TranscriptInfo("en", 1.0, audio.seconds)
            yield Segment(0, 1, " word")

    async def scenario() -> bool:
        runner = host(Ear, tmp_path)
        left = weakref.ref(Knot())
        answer = runner.call(TranscribeCall.of("toy", silence(seconds, STT_RATE), TranscribeOptions()))
        await anext(answer)
        await (answer.aclose() if cut else frames_of(answer))
        if freed:
            await eventually(lambda: left() is None)
        else:
            await asyncio.sleep(SETTLE_S + 0.5)
        return left() is None

    gc.collect()
    gc.disable()
    try:
        assert asyncio.run(scenario()) is freed
    finally:
        gc.enable()


def test_transcription_frames_are_info_then_segments(tmp_path: Path) -> None:
    class Ear:
        def __init__(self, setup: Setup) -> None: ...

        def load(self) -> None: ...

        def transcribe(self, audio: Audio, options: TranscribeOptions) -> Iterator[TranscriptInfo | Segment]:
            yield TranscriptInfo("en", 1.0, audio.seconds)
            yield Segment(0, 1, " in " + threading.current_thread().name)

    ask = TranscribeCall.of("toy", silence(1, STT_RATE), TranscribeOptions())
    frames = asyncio.run(frames_of(host(Ear, tmp_path).call(ask)))
    assert [frame.kind for frame in frames] == [Kind.JSON, Kind.JSON, Kind.END]
    assert b"in model" in frames[1].payload, "work belongs to the runner's own threads, not the event loop"
