from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from open_speech.api.jobs.bodies import View, message_of
from open_speech.api.jobs.job import DELIVER_AGAIN_S, MOST_RUNS, RUN_AGAIN_S, Delivery, Job, Result
from open_speech.api.jobs.ssrf_guard import Guard
from open_speech.api.jobs.store import Bounds, JobStore, NewJob
from open_speech.api.jobs.webhooks import WebhookSender
from open_speech.api.jobs.work import ReportProgress
from open_speech.api.jobs.workers import Workers
from open_speech.errors import (
    BackendFailed,
    BackendUnavailable,
    InvalidAudio,
    Overloaded,
    SpeechError,
    Stopping,
    from_wire,
)
from tests.waiting import PATIENCE_S, eventually

RESULT = Result(file="result.json", size=10, audio_s=1.0)
KEY = b"key"


@dataclass
class Clock:
    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Admission:
    is_closed: bool = False


@dataclass
class Hand:
    """Does jobs: waits for `gate`, then raises the next of `failures`, then succeeds."""

    gate: asyncio.Event = field(default_factory=asyncio.Event)
    failures: list[Exception] = field(default_factory=list)
    begun: list[str] = field(default_factory=list)
    stopped: list[str] = field(default_factory=list)

    async def do(self, job: Job, report: ReportProgress) -> Result:
        self.begun.append(job.id)
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.stopped.append(job.id)
            raise
        if self.failures:
            raise self.failures.pop(0)
        return RESULT


@dataclass
class Bench:
    """Workers on a store with a clock of the test's own."""

    folder: Path
    clock: Clock = field(default_factory=Clock)
    admission: Admission = field(default_factory=Admission)
    hand: Hand = field(default_factory=Hand)

    def __post_init__(self) -> None:
        self.store = JobStore(self.folder / "jobs", Bounds(100, 1 << 20, 1e9), clock=self.clock)
        self.webhooks = WebhookSender(Guard(allow_private=True), KEY, timeout_s=5)

    def add(self, url: str | None = None) -> str:
        self.clock.now += 0.001
        webhook = Delivery(url=url) if url else None
        new = Job(id="", type="transcription", model="m", response_format="json", created_at=0, webhook=webhook)
        return self.store.accept([NewJob(new, {}, b"x")])[0].id

    @asynccontextmanager
    async def working(self, limit: int = 2) -> AsyncIterator[Workers]:
        workers = Workers(self.store, self.hand.do, self._deliver, self.admission, limit=limit, clock=self.clock)
        async with workers.working():
            yield workers

    async def _deliver(self, job: Job) -> None:
        assert job.webhook is not None
        await self.webhooks.send(job.webhook.url, "msg_1", message_of(job, View(60)), self.clock.now)

    def job(self, name: str) -> Job:
        job = self.store.get(name)
        assert job is not None
        return job


def run(work: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(2 * PATIENCE_S):
            await work()

    asyncio.run(bounded())


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_jobs_are_done_oldest_first(bench: Bench) -> None:
    async def work() -> None:
        names = [bench.add() for _ in range(4)]
        bench.hand.gate.set()
        async with bench.working(limit=1):
            await eventually(lambda: all(bench.job(name).status == "completed" for name in names))
        assert bench.hand.begun == names

    run(work)


def test_no_more_jobs_are_worked_on_at_once_than_may(bench: Bench) -> None:
    async def work() -> None:
        names = [bench.add() for _ in range(4)]
        async with bench.working(limit=2):
            await eventually(lambda: len(bench.hand.begun) == 2)
            await asyncio.sleep(0.4)
            # These two begin side by side: which of them is first is left to the threads.
            assert sorted(bench.hand.begun) == names[:2]
            bench.hand.gate.set()
            await eventually(lambda: all(bench.job(name).status == "completed" for name in names))
        assert sorted(bench.hand.begun) == names

    run(work)


def test_what_was_under_way_when_the_server_stops_is_begun_again_and_that_is_no_run(bench: Bench) -> None:
    async def work() -> None:
        name = bench.add()
        async with bench.working():
            await eventually(lambda: bench.hand.begun == [name])
        assert bench.hand.stopped == [name]
        assert (bench.job(name).status, bench.job(name).runs) == ("queued", 0)
        bench.hand.gate.set()
        async with bench.working():
            await eventually(lambda: bench.job(name).status == "completed")

    run(work)


def test_a_server_that_lets_nothing_in_any_more_stops_its_jobs_at_once(bench: Bench) -> None:
    async def work() -> None:
        name = bench.add()
        async with bench.working():
            await eventually(lambda: bench.hand.begun == [name])
            bench.admission.is_closed = True
            await eventually(lambda: bench.job(name).status == "queued")
            await asyncio.sleep(0.6)
            assert bench.hand.begun == [name]

    run(work)


def test_a_job_that_was_running_when_the_server_was_killed_is_done_again(bench: Bench) -> None:
    async def work() -> None:
        name = bench.add()
        bench.store.change(name, lambda job: job.begun(bench.clock.now))
        bench.hand.gate.set()
        async with bench.working():
            await eventually(lambda: bench.job(name).status == "completed")
        assert bench.job(name).runs == 2

    run(work)


def test_two_servers_on_one_folder_do_each_job_once(bench: Bench, tmp_path: Path) -> None:
    async def work() -> None:
        other = Bench(tmp_path, bench.clock, hand=bench.hand)
        names = [bench.add() for _ in range(6)]
        bench.hand.gate.set()
        async with bench.working(), other.working():
            await eventually(lambda: all(bench.job(name).is_over for name in names))
        assert sorted(bench.hand.begun) == sorted(names)

    run(work)


def test_a_job_that_another_server_holds_is_left_alone_and_looked_at_again_later(bench: Bench) -> None:
    async def work() -> None:
        name = bench.add()
        claim = bench.store.claim(name)
        assert claim is not None
        bench.hand.gate.set()
        async with bench.working():
            await asyncio.sleep(0.4)
            assert bench.hand.begun == []
            claim.close()
            bench.clock.now += 11
            await eventually(lambda: bench.job(name).status == "completed")

    run(work)


def test_a_cancelled_job_is_stopped_whoever_cancelled_it(bench: Bench) -> None:
    async def work() -> None:
        name, other = bench.add(), bench.add()
        async with bench.working():
            await eventually(lambda: len(bench.hand.begun) == 2)
            # As another process would: nobody is woken.
            bench.store.change(name, lambda job: job.cancelled(bench.clock.now))
            await eventually(lambda: bench.hand.stopped == [name])
            bench.store.remove(other)
            await eventually(lambda: bench.hand.stopped == [name, other])
            await eventually(lambda: (claim := bench.store.claim(name)) is not None and claim.close() is None)
        assert bench.job(name).status == "cancelled"

    run(work)


@pytest.mark.parametrize("error", [InvalidAudio("no sound", param="file"), BackendFailed("x")])
def test_a_job_that_cannot_be_done_fails_with_its_error(bench: Bench, error: SpeechError) -> None:
    async def work() -> None:
        name = bench.add()
        bench.hand.failures.append(error)
        bench.hand.gate.set()
        async with bench.working():
            await eventually(lambda: bench.job(name).is_over)
        job = bench.job(name)
        assert job.status == "failed"
        assert job.error is not None
        assert (type(from_wire(job.error)), job.error["message"]) == (type(error), error.message)

    run(work)


def test_what_was_not_foreseen_fails_the_job_and_shows_nothing_of_it(bench: Bench) -> None:
    async def work() -> None:
        name, next_one = bench.add(), bench.add()
        bench.hand.failures.append(ZeroDivisionError("secret"))
        bench.hand.gate.set()
        async with bench.working(limit=1):
            await eventually(lambda: bench.job(next_one).is_over)
        assert bench.job(name).status == "failed"
        assert "secret" not in str(bench.job(name).error)
        assert bench.job(next_one).status == "completed"

    run(work)


def test_a_job_whose_backend_is_busy_waits_however_often(bench: Bench) -> None:
    async def work() -> None:
        name = bench.add()
        bench.hand.failures += [Overloaded("full", retry_after_s=7.0) for _ in range(MOST_RUNS + 2)]
        bench.hand.gate.set()
        async with bench.working():
            for left in range(MOST_RUNS + 1, -1, -1):
                await eventually(lambda left=left: len(bench.hand.failures) == left and bench.job(name).status == "queued")  # type: ignore[misc]
                assert bench.job(name).not_before == bench.clock.now + 7.0
                bench.clock.now += 7.0
            await eventually(lambda: bench.job(name).status == "completed")

    run(work)


def test_a_job_whose_backend_is_gone_is_tried_a_few_times(bench: Bench) -> None:
    async def work() -> None:
        name = bench.add()
        bench.hand.failures += [BackendUnavailable("gone") for _ in range(MOST_RUNS)]
        bench.hand.gate.set()
        async with bench.working():
            for pause in (*RUN_AGAIN_S, RUN_AGAIN_S[-1])[: MOST_RUNS - 1]:
                await eventually(lambda: bench.job(name).status == "queued" and bench.job(name).not_before > bench.clock.now)
                assert bench.job(name).not_before == bench.clock.now + pause
                bench.clock.now += pause
            await eventually(lambda: bench.job(name).status == "failed")
        assert bench.job(name).runs == MOST_RUNS

    run(work)


def test_a_job_that_is_turned_away_by_a_server_that_stops_is_put_back(bench: Bench) -> None:
    async def work() -> None:
        name = bench.add()
        bench.hand.failures.append(Stopping("stopping"))
        bench.hand.gate.set()
        async with bench.working():
            await eventually(lambda: bench.job(name).status == "completed")
        assert bench.job(name).runs == 1

    run(work)


def test_a_webhook_that_fails_twice_arrives_at_the_third_time_and_once(bench: Bench, receiver: Any) -> None:
    async def work() -> None:
        receiver.answers += [500, 503]
        name = bench.add(receiver.url)
        bench.hand.gate.set()
        async with bench.working():
            for count, pause in enumerate(DELIVER_AGAIN_S[:2], 1):
                await eventually(lambda count=count: (hook := bench.job(name).webhook) is not None and hook.attempts == count)  # type: ignore[misc]
                assert len(receiver.came) == count
                bench.clock.now += pause
            await eventually(lambda: (hook := bench.job(name).webhook) is not None and hook.status == "delivered")
            bench.clock.now += 1e6
            await asyncio.sleep(0.6)
        assert len(receiver.came) == 3
        assert len({headers["webhook-id"] for headers, _ in receiver.came}) == 1
        headers, body = receiver.came[2]
        signed = hmac.new(KEY, f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body, hashlib.sha256)
        assert headers["webhook-signature"] == "v1," + base64.b64encode(signed.digest()).decode()
        message = json.loads(body)
        assert (message["type"], message["data"]["id"], message["data"]["status"]) == ("audio.job.completed", name, "completed")

    run(work)


def test_a_webhook_that_is_owed_is_sent_after_a_restart(bench: Bench, receiver: Any) -> None:
    async def work() -> None:
        receiver.answers.append(500)
        name = bench.add(receiver.url)
        bench.hand.gate.set()
        async with bench.working():
            await eventually(lambda: (hook := bench.job(name).webhook) is not None and hook.attempts == 1)
        bench.clock.now += DELIVER_AGAIN_S[0]
        async with bench.working():
            await eventually(lambda: (hook := bench.job(name).webhook) is not None and hook.status == "delivered")
        assert len(receiver.came) == 2
        assert bench.hand.begun == [name]

    run(work)


def test_a_webhook_tells_of_a_failure_too(bench: Bench, receiver: Any) -> None:
    async def work() -> None:
        name = bench.add(receiver.url)
        bench.hand.failures.append(InvalidAudio("no sound", param="file"))
        bench.hand.gate.set()
        async with bench.working():
            await eventually(lambda: (hook := bench.job(name).webhook) is not None and hook.status == "delivered")
        message = json.loads(receiver.came[0][1])
        assert message["type"] == "audio.job.failed"
        assert message["data"]["error"] == {"message": "no sound", "type": "invalid_request_error", "param": "file", "code": None}

    run(work)


def test_a_receiver_that_hangs_holds_up_no_job(bench: Bench, receiver: Any) -> None:
    async def work() -> None:
        receiver.gate.clear()
        for _ in range(6):
            bench.add(receiver.url)
        bench.hand.gate.set()
        async with bench.working():
            await eventually(lambda: len(receiver.came) == 4)
            assert (job := bench.add()) is not None
            bench.clock.now += 11
            await eventually(lambda: bench.job(job).status == "completed")
            receiver.gate.set()

    run(work)
