"""A runner that dies of a call: the error names the signal, the call is not sent again for a while, and other calls are served."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncGenerator, Callable
from typing import Any, cast

import numpy as np
import pytest

from open_speech.audio import Audio, silence
from open_speech.backends import STT_RATE, DiarizeOptions, SpeechOptions, TranscribeOptions, Window
from open_speech.dispatch.client import RunnerClient
from open_speech.dispatch.crashes import FATAL, FORGET_S, MOST_CALLS, Exit, FatalCalls, fingerprint
from open_speech.dispatch.frames import END, DiarizeCall, LoadModel, Question, SpeakCall, T, WindowCall, audio_frame
from open_speech.dispatch.link import RunnerGone
from open_speech.dispatch.replicas import OneRunner
from open_speech.errors import BackendCrashed, BackendUnavailable
from tests.fake_runner import FakeRunner

TONE = Audio(np.full(100, 0.5, np.float32), 24_000)
ILLEGAL = Exit(1, -signal.SIGILL)


class Deadly(FakeRunner):
    """A runner that is killed by the text `die`, and reports in its status how the process before it ended."""

    def __init__(self, code: int | None = -signal.SIGILL) -> None:
        self.code = code
        self.deaths = 0
        self.dying = asyncio.Event()
        self.sent: list[str] = []

    async def synthesize(self, call: SpeakCall) -> AsyncGenerator[bytes, None]:
        self.sent.append(call.text)
        if call.text == "slow":
            await self.dying.wait()
            raise RunnerGone("killed with the other")
        if call.text == "die":
            self.deaths += 1
            self.dying.set()
            raise RunnerGone("killed")
        yield audio_frame(TONE).encode() + END.encode()

    async def status(self, question: object) -> dict[str, Any]:
        ended = {"pid": 100 + self.deaths, "code": self.code} if self.deaths and self.code is not None else None
        return {"pid": 101 + self.deaths, "previous_exit": ended}


class Asleep:
    """What is known of a runner that has no process, except while it is called."""

    def is_asleep(self) -> bool:
        return True

    async def answer(self, question: Question[T]) -> T:
        return cast("T", {"asleep": True})


async def speak(runner: RunnerClient, text: str) -> int:
    return len([audio async for audio in runner.synthesize("m", text, SpeechOptions("v"))])


async def refused(runner: RunnerClient, text: str = "die") -> str:
    with pytest.raises(BackendCrashed) as given_up:
        await speak(runner, text)
    return given_up.value.message


def test_a_call_that_killed_the_runner_three_times_is_refused_with_the_signal() -> None:
    async def scenario() -> None:
        link = Deadly()
        runner = RunnerClient("toy", link, deadline_s=5)
        message = await refused(runner)
        assert "`toy` was killed by SIGILL (illegal instruction) three times on this call" in message
        assert link.sent == ["die"] * FATAL
        assert await refused(runner) == message
        assert link.sent == ["die"] * FATAL, "it reached the runner again"
        assert await speak(runner, "hello") == 1

    asyncio.run(scenario())


@pytest.mark.parametrize("again", [lambda runner: runner.load("m"), lambda runner: runner.unload("m")])
def test_it_is_sent_again_after_its_model_was_loaded_or_unloaded(again: Callable[[RunnerClient], Any]) -> None:
    async def scenario() -> None:
        link = Deadly()
        runner = RunnerClient("toy", link, deadline_s=5)
        await refused(runner)
        await again(runner)
        await refused(runner)
        assert link.sent == ["die"] * 2 * FATAL

    asyncio.run(scenario())


def test_deaths_of_unknown_cause_are_only_unavailable() -> None:
    """A runner of an earlier version reports no exit, and a connection may break though the process lives."""

    async def scenario() -> None:
        runner = RunnerClient("toy", Deadly(code=None), deadline_s=5)
        for _ in range(2):
            with pytest.raises(BackendUnavailable):
                await speak(runner, "die")

    asyncio.run(scenario())


def test_a_runner_that_sleeps_after_its_death_is_started_to_say_how_it_died() -> None:
    async def scenario() -> None:
        runner = RunnerClient("toy", OneRunner("toy", Deadly(), sleeper=Asleep()), deadline_s=5)
        assert "was killed by SIGILL" in await refused(runner)
        assert await runner.status() == {"asleep": True}

    asyncio.run(scenario())


def test_an_exit_that_was_known_before_the_call_is_not_counted() -> None:
    class Flaky(Deadly):
        async def status(self, question: object) -> dict[str, Any]:
            return {"pid": 7, "previous_exit": {"pid": 6, "code": -9}}

    async def scenario() -> None:
        runner = RunnerClient("toy", Flaky(), deadline_s=5)
        await runner.status()
        with pytest.raises(BackendUnavailable, match="it is being restarted"):
            await speak(runner, "die")

    asyncio.run(scenario())


def test_a_call_that_died_beside_another_is_not_given_up() -> None:
    async def scenario() -> None:
        link = Deadly()
        runner = RunnerClient("toy", link, deadline_s=5)
        results = await asyncio.gather(speak(runner, "slow"), speak(runner, "die"), return_exceptions=True)
        assert [type(result) for result in results] == [BackendUnavailable] * 2
        assert "SIGILL" in str(results[0])
        await refused(runner, "die")

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (-signal.SIGSEGV, "was killed by SIGSEGV (segmentation fault)"),
        (-signal.SIGKILL, "was killed by SIGKILL (killed from outside, or by the kernel because memory was exhausted)"),
        (1, "ended with exit status 1"),
        (-250, "was killed by signal 250"),
    ],
)
def test_every_end_has_words(code: int, words: str) -> None:
    assert str(Exit(1, code)) == words


@pytest.mark.parametrize("status", [{}, {"previous_exit": None}, {"previous_exit": {"pid": 3}}, {"previous_exit": {"pid": "3", "code": 1}}])
def test_a_status_without_an_exit_has_none(status: dict[str, Any]) -> None:
    assert Exit.of(status) is None


def test_a_call_is_forgotten_after_a_while_and_the_memory_is_bounded() -> None:
    async def scenario() -> None:
        now = 0.0
        fatal = FatalCalls("toy", clock=lambda: now)
        call = LoadModel("m")
        for _ in range(FATAL - 1):
            await fatal.record(call, ILLEGAL)
        await fatal.check(call)
        with pytest.raises(BackendCrashed):
            await fatal.record(call, ILLEGAL)
        now = FORGET_S
        with pytest.raises(BackendCrashed):
            await fatal.check(call)
        for number in range(MOST_CALLS):
            await fatal.record(LoadModel(f"m{number}"), ILLEGAL)
        await fatal.check(call)
        for _ in range(FATAL - 1):
            await fatal.record(call, ILLEGAL)
        now = 2 * FORGET_S + 1
        await fatal.record(call, ILLEGAL)

    asyncio.run(scenario())


def test_the_turn_of_a_call_is_not_a_part_of_it() -> None:
    window = Window(silence(1.0, STT_RATE), TranscribeOptions())
    first = WindowCall.window("m", window, asker="me", urgency=0)
    assert fingerprint(first) == fingerprint(WindowCall.window("m", window, asker="you", urgency=2, patience_s=3.0))
    longer = Window(silence(1.5, STT_RATE), TranscribeOptions())
    assert fingerprint(first) != fingerprint(WindowCall.window("m", longer, asker="me", urgency=0))
    assert fingerprint(first) != fingerprint(WindowCall.window("n", window, asker="me", urgency=0))


def test_the_voices_of_a_diarization_are_a_part_of_it() -> None:
    def call(*seconds: float) -> DiarizeCall:
        references = tuple((f"n{at}", silence(length, STT_RATE)) for at, length in enumerate(seconds))
        return DiarizeCall.of("m", silence(1.0, STT_RATE), DiarizeOptions(references=references))

    assert fingerprint(call(1.0, 2.0)) == fingerprint(call(1.0, 2.0))
    assert len({fingerprint(one) for one in (call(), call(1.0), call(1.0, 2.0), call(2.0, 1.0))}) == 4
