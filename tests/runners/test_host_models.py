"""What the host does with models: many who wait for one, one let go while it speaks, several in turn, urgent calls and late ones."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import AsyncGenerator, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from open_speech.audio import Audio
from open_speech.backends import BackendEntry, ModelEntry, Setup, SpeechOptions, Task
from open_speech.dispatch.frames import (
    FILE,
    LIVE,
    Decoder,
    Frame,
    KeptModels,
    Kind,
    PullModel,
    RemoveModel,
    RunnerStatus,
    SpeakCall,
    error_of,
)
from open_speech.errors import BackendFailed, Overloaded
from open_speech.registry import Defaults, Registry
from open_speech.weights import Store
from runners.host.host import Host, HostOptions
from tests.waiting import PATIENCE_S, eventually

NAMES = ("one", "two", "three", "slow", "broken")


class Toy:
    """A synthesiser of one piece; a text of digits is spoken for so many milliseconds."""

    loads: list[str] = []
    may_load = threading.Event()
    """Loading `slow` waits for it."""
    may_speak = threading.Event()
    """Speaking waits for it."""

    def __init__(self, setup: Setup) -> None:
        self.name = setup.model.id

    def load(self) -> None:
        type(self).loads.append(self.name)
        if self.name == "broken":
            raise OSError("no such file")
        if self.name == "slow":
            self.may_load.wait(PATIENCE_S)

    def synthesize(self, text: str, options: SpeechOptions) -> Iterator[Audio]:
        self.may_speak.wait(PATIENCE_S)
        time.sleep(int(text) / 1000)
        yield Audio(np.zeros(24, np.float32), 24_000)


@pytest.fixture
def toy() -> type[Toy]:
    fresh = type("FreshToy", (Toy,), {"loads": [], "may_load": threading.Event(), "may_speak": threading.Event()})
    fresh.may_load.set()
    fresh.may_speak.set()
    return fresh


def host(toy: type[Toy], folder: Path, *, threads: int = 2, ttl_s: float = 0, limit: int = 0) -> Host:
    entry = BackendEntry("toy", Task.TTS, "nowhere:Toy", (), "", "MIT")
    models = [ModelEntry(name, "toy", Task.TTS, "MIT", ("en",)) for name in NAMES]
    registry = Registry([entry], models, {"toy": "process"}, Defaults("", "one", ""))
    options = HostOptions(ttl_s=ttl_s, limit=limit, heartbeat_s=0.02)
    return Host(toy, registry, Store(folder, offline=True), options, threads=threads)


async def frames_of(answer: AsyncGenerator[bytes, None]) -> list[Frame]:
    decoder = Decoder()
    return [frame async for chunk in answer for frame in decoder.feed(chunk)]


async def spoken(runner: Host, model: str = "one", ms: int = 1, *, urgency: int = FILE, patience_s: float = 0.0) -> Frame:
    call = SpeakCall.of(model, str(ms), SpeechOptions("v"), urgency=urgency, patience_s=patience_s)
    return (await frames_of(runner.call(call)))[-1]


async def in_flight(runner: Host) -> None:
    """Wait until a call of `one` is being worked on."""

    async def is_so() -> bool:
        return bool((await runner.ask(RunnerStatus()))["in_flight"].get("one"))

    await eventually(is_so)


def test_however_many_wait_for_one_model_another_answers_at_once(toy: type[Toy], tmp_path: Path) -> None:
    async def scenario() -> list[bool]:
        runner = host(toy, tmp_path)
        await spoken(runner)
        crowd = [asyncio.create_task(spoken(runner, "slow")) for _ in range(60)]
        await eventually(lambda: "slow" in toy.loads)
        await spoken(runner)
        answered = [task.done() for task in crowd]
        toy.may_load.set()
        await asyncio.gather(*crowd)
        return answered

    toy.may_load.clear()
    assert asyncio.run(scenario()) == [False] * 60
    assert toy.loads == ["one", "slow"]


def test_a_load_that_fails_is_told_to_all_who_wait_and_tried_again_by_the_next(toy: type[Toy], tmp_path: Path) -> None:
    async def scenario() -> list[Frame]:
        runner = host(toy, tmp_path)
        first = await asyncio.gather(*(spoken(runner, "broken") for _ in range(3)))
        assert (await runner.ask(RunnerStatus()))["progress"] == {}
        return [*first, await spoken(runner, "broken")]

    errors = [error_of(frame) for frame in asyncio.run(scenario())]
    assert all(isinstance(error, BackendFailed) and "broken" in error.message for error in errors)
    assert len(toy.loads) in (2, 3), "those who came together share one load"


def test_models_take_turns_within_the_limit_under_load(toy: type[Toy], tmp_path: Path) -> None:
    async def scenario() -> set[Kind]:
        runner = host(toy, tmp_path, limit=1, ttl_s=0.05)
        ends = await asyncio.gather(*(spoken(runner, NAMES[number % 3], 5) for number in range(30)))
        await asyncio.sleep(0.05)
        assert len((await runner.ask(RunnerStatus()))["loaded"]) <= 1
        return {frame.kind for frame in ends}

    assert asyncio.run(asyncio.wait_for(scenario(), PATIENCE_S)) == {Kind.END}


def test_a_model_that_is_used_all_the_time_outlives_its_ttl_and_goes_afterwards(toy: type[Toy], tmp_path: Path) -> None:
    async def scenario() -> None:
        runner = host(toy, tmp_path, ttl_s=1)
        for _ in range(8):
            await spoken(runner, ms=20)
            await asyncio.sleep(0.2)
        assert toy.loads == ["one"]

        async def is_gone() -> bool:
            return (await runner.ask(RunnerStatus()))["loaded"] == {}

        await eventually(is_gone)

    asyncio.run(scenario())


def test_the_status_tells_memory_device_and_who_uses_what(toy: type[Toy], tmp_path: Path) -> None:
    async def scenario() -> dict[str, Any]:
        runner = host(toy, tmp_path)
        await spoken(runner)
        toy.may_speak.clear()
        speaking = asyncio.create_task(spoken(runner))
        await in_flight(runner)
        status = await runner.ask(RunnerStatus())
        toy.may_speak.set()
        await speaking
        return status

    status = asyncio.run(scenario())
    assert status["in_flight"] == {"one": 1}
    assert status["loaded"] == {"one": 0.0}
    assert status["memory_bytes"] > 10_000_000
    assert status["device"] in ("cpu", "cuda")


def test_a_listener_s_call_goes_before_a_file_s(toy: type[Toy], tmp_path: Path) -> None:
    async def scenario() -> list[str]:
        runner = host(toy, tmp_path, threads=1)
        await spoken(runner)
        order: list[str] = []

        async def speak(name: str, urgency: int) -> None:
            await spoken(runner, urgency=urgency)
            order.append(name)

        toy.may_speak.clear()
        busy = asyncio.create_task(speak("busy", FILE))
        await in_flight(runner)
        later = [asyncio.create_task(speak(name, urgency)) for name, urgency in (("file", FILE), ("file too", FILE), ("live", LIVE))]
        await asyncio.sleep(0.1)
        toy.may_speak.set()
        await asyncio.gather(busy, *later)
        return order

    assert asyncio.run(scenario()) == ["busy", "live", "file", "file too"]


def test_a_call_whose_turn_does_not_come_in_time_is_refused_with_the_time_to_come_back(toy: type[Toy], tmp_path: Path) -> None:
    async def scenario() -> Frame:
        runner = host(toy, tmp_path, threads=1)
        await spoken(runner)
        toy.may_speak.clear()
        busy = asyncio.create_task(spoken(runner))
        await in_flight(runner)
        late = await spoken(runner, patience_s=0.1)
        assert not busy.done()
        toy.may_speak.set()
        await busy
        return late

    error = error_of(asyncio.run(scenario()))
    assert isinstance(error, Overloaded)
    assert error.retry_after_s == 0.1


def test_files_are_deleted_and_told(toy: type[Toy], tmp_path: Path) -> None:
    async def scenario() -> list[Frame]:
        runner = host(toy, tmp_path)
        await spoken(runner)
        frames = await frames_of(runner.call(RemoveModel("one")))
        assert (await runner.ask(RunnerStatus()))["loaded"] == {}
        assert await runner.ask(KeptModels()) == dict.fromkeys(NAMES, 0)
        return frames

    frames = asyncio.run(scenario())
    assert [frame.kind for frame in frames] == [Kind.JSON, Kind.END]
    assert json.loads(frames[0].payload) == {"freed_bytes": 0}


def test_a_pull_of_what_nobody_knows_is_an_error_frame(toy: type[Toy], tmp_path: Path) -> None:
    (frame,) = asyncio.run(frames_of(host(toy, tmp_path).call(PullModel("nothing"))))
    assert error_of(frame).code == "model_not_found"
