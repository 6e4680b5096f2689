from __future__ import annotations

import asyncio
from typing import Any, cast

from open_speech.dispatch.client import RunnerClient
from open_speech.dispatch.frames import Question, RunnerStatus, T
from open_speech.dispatch.link import RunnerGone
from open_speech.dispatch.questions import Questions
from open_speech.dispatch.replicas import OneRunner
from tests.fake_runner import FakeRunner
from tests.waiting import PATIENCE_S, eventually


class Runner(FakeRunner):
    """A runner that starts when it is asked."""

    def __init__(self) -> None:
        self.asked = 0
        self.fails = False

    async def status(self, question: object) -> dict[str, Any]:
        self.asked += 1
        if self.fails:
            raise RunnerGone("it does not start")
        return {"loaded": {}, "pid": self.asked}


class Supervisor:
    """What is known of the runner while it has no process."""

    def __init__(self, runner: Runner) -> None:
        self.runner = runner

    def is_asleep(self) -> bool:
        return not self.runner.asked

    async def answer(self, question: Question[T]) -> T:
        return cast("T", {"loaded": {}, "asleep": True})


def test_a_sleeping_runner_is_not_started_by_a_question() -> None:
    runner = Runner()
    questions = Questions(runner, Supervisor(runner))
    assert asyncio.run(questions.ask(RunnerStatus())) == {"loaded": {}, "asleep": True}
    assert runner.asked == 0
    assert asyncio.run(questions.ask(RunnerStatus(), wake=True)) == {"loaded": {}, "pid": 1}
    assert asyncio.run(questions.ask(RunnerStatus())) == {"loaded": {}, "pid": 2}


def test_a_runner_that_always_has_a_process_is_asked_itself() -> None:
    assert asyncio.run(Questions(Runner()).ask(RunnerStatus())) == {"loaded": {}, "pid": 1}


def test_a_sleeping_runner_is_started_once_while_requests_are_prepared() -> None:
    async def scenario() -> int:
        runner = Runner()
        client = RunnerClient("runner", OneRunner("runner", runner, sleeper=Supervisor(runner)), deadline_s=PATIENCE_S)
        for _ in range(3):
            await client.require("model")
        await eventually(lambda: runner.asked)
        await client.require("model")
        return runner.asked

    assert asyncio.run(scenario()) == 1


def test_a_runner_that_does_not_start_fails_the_call_and_not_the_preparation() -> None:
    async def scenario() -> int:
        runner = Runner()
        runner.fails = True
        questions = Questions(runner, Supervisor(runner))
        questions.wake_soon(within_s=PATIENCE_S)
        await eventually(lambda: runner.asked)
        return runner.asked

    assert asyncio.run(scenario()) == 1


def test_a_runner_that_slept_has_not_been_restarted() -> None:
    async def scenario() -> int:
        runner = Runner()
        client = RunnerClient("runner", OneRunner("runner", runner, sleeper=Supervisor(runner)), deadline_s=PATIENCE_S)
        await client.replicas.members[0].status(within_s=PATIENCE_S, wake=True)
        runner.asked = 0
        assert (await client.status()) == {"loaded": {}, "asleep": True}
        runner.asked = 6
        await client.status()
        return client.restarts

    assert asyncio.run(scenario()) == 0
