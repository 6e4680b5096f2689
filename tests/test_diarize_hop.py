"""A diarization from the engine's side of the hop to the runner's and back, on a small diarizer written here."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from open_speech.audio import Audio, silence
from open_speech.backends import STT_RATE, BackendEntry, DiarizeOptions, ModelEntry, Setup, Task, Turn
from open_speech.dispatch.client import RunnerClient
from open_speech.dispatch.frames import END, DiarizeCall, turns_frame
from open_speech.dispatch.link import RunnerGone
from open_speech.errors import BackendFailed, OutOfRange
from open_speech.registry import Defaults, Registry
from open_speech.weights import Store
from runners.host.host import Host, HostOptions
from tests.fake_runner import FakeRunner
from tests.waiting import PATIENCE_S, eventually

MODEL = ModelEntry("toy", "toy", Task.DIARIZE, "MIT", ("en",))
TURNS = [Turn(0.0, 1.5, "A"), Turn(1.5, 2.25, "Ann")]


class Toy:
    """Hears one turn, as long as the audio; its label tells what it was asked for."""

    work_s = 0.0

    def __init__(self, setup: Setup) -> None: ...

    def load(self) -> None: ...

    def diarize(self, audio: Audio, options: DiarizeOptions) -> list[Turn]:
        if options.max_speakers == 0:
            raise OutOfRange("too few", param="max_speakers")
        time.sleep(self.work_s)
        voices = " ".join(f"{name}:{voice.seconds:g}" for name, voice in options.references)
        return [Turn(0.0, audio.seconds, f"{options.min_speakers} {options.max_speakers} {voices}")]


def client(backend: type[Any], folder: Path, *, deadline_s: float = PATIENCE_S) -> RunnerClient:
    entry = BackendEntry("toy", Task.DIARIZE, "nowhere:Toy", (), "", "MIT")
    registry = Registry([entry], [MODEL], {"toy": "inproc"}, Defaults("", "", ""))
    host = Host(backend, registry, Store(folder, offline=True), HostOptions(heartbeat_s=0.02), threads=1)
    return RunnerClient("toy", host, deadline_s=deadline_s)


def test_the_sound_the_limits_and_the_known_voices_arrive(tmp_path: Path) -> None:
    options = DiarizeOptions(2, None, (("Ann", silence(2.0, STT_RATE)), ("Bob", silence(3.5, STT_RATE))))
    turns = asyncio.run(client(Toy, tmp_path).diarize("toy", silence(1.25, STT_RATE), options))
    assert turns == [Turn(0.0, 1.25, "2 None Ann:2 Bob:3.5")]


def test_a_refusal_arrives_as_itself(tmp_path: Path) -> None:
    with pytest.raises(OutOfRange) as refused:
        asyncio.run(client(Toy, tmp_path).diarize("toy", silence(1.0, STT_RATE), DiarizeOptions(max_speakers=0)))
    assert refused.value.param == "max_speakers"


def test_work_that_is_longer_than_the_deadline_is_waited_for_while_the_runner_lives(tmp_path: Path) -> None:
    slow = type("Slow", (Toy,), {"work_s": 1.5})
    turns = asyncio.run(client(slow, tmp_path, deadline_s=0.75).diarize("toy", silence(1.0, STT_RATE), DiarizeOptions()))
    assert len(turns) == 1


def test_who_leaves_before_his_turn_is_not_worked_for(tmp_path: Path) -> None:
    calls: list[float] = []
    done = threading.Event()

    class Counting(Toy):
        def diarize(self, audio: Audio, options: DiarizeOptions) -> list[Turn]:
            calls.append(audio.seconds)
            done.wait(PATIENCE_S)
            return TURNS

    async def scenario() -> None:
        runner = client(Counting, tmp_path)
        first = asyncio.create_task(runner.diarize("toy", silence(1.0, STT_RATE), DiarizeOptions()))
        await eventually(lambda: calls)
        second = asyncio.create_task(runner.diarize("toy", silence(2.0, STT_RATE), DiarizeOptions()))
        await asyncio.sleep(0.1)
        second.cancel()
        await asyncio.wait({second})
        done.set()
        assert await first == TURNS
        await asyncio.sleep(0.1)

    asyncio.run(scenario())
    assert calls == [1.0]


def test_a_call_to_another_machine_is_json_and_says_the_same() -> None:
    audio = Audio(np.linspace(-1, 1, 50, dtype=np.float32), STT_RATE)
    call = DiarizeCall.of("toy", audio, DiarizeOptions(None, 3, (("Ann", silence(0.5, STT_RATE)),)))
    sound, options = DiarizeCall.model_validate_json(call.model_dump_json()).unpack()
    assert np.array_equal(sound.samples, audio.samples)
    assert (options.min_speakers, options.max_speakers) == (None, 3)
    assert [(name, voice.seconds) for name, voice in options.references] == [("Ann", 0.5)]


class Dying(FakeRunner):
    """A link to a runner that dies so many times before it answers."""

    def __init__(self, deaths: int, answer: bytes) -> None:
        self.deaths = deaths
        self.answer = answer

    async def diarize(self, call: DiarizeCall) -> AsyncGenerator[bytes, None]:
        if self.deaths:
            self.deaths -= 1
            raise RunnerGone("killed")
        yield self.answer


def test_a_call_whose_runner_died_is_repeated() -> None:
    link = Dying(1, turns_frame(TURNS).encode() + END.encode())
    asked = RunnerClient("toy", link, deadline_s=5).diarize("toy", silence(1.0, STT_RATE), DiarizeOptions())
    assert asyncio.run(asked) == TURNS


def test_an_answer_without_turns_is_a_failure() -> None:
    link = Dying(0, END.encode())
    with pytest.raises(BackendFailed):
        asyncio.run(RunnerClient("toy", link, deadline_s=5).diarize("toy", silence(1.0, STT_RATE), DiarizeOptions()))
