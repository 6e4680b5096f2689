"""A backend with several replicas: where calls go, what is left out and comes back, and what is asked of all of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Collection
from contextlib import asynccontextmanager
from typing import Any

import pytest

from open_speech.audio import silence
from open_speech.backends import STT_RATE, TranscribeOptions, Window, WindowResult
from open_speech.dispatch import replicas as module
from open_speech.dispatch.choice import WARM_S
from open_speech.dispatch.client import ALL, RunnerClient
from open_speech.dispatch.frames import END, Frame, Kind, LoadModel, RemoveModel, WindowCall, error_frame, window_frame
from open_speech.dispatch.link import Link, RunnerGone
from open_speech.dispatch.replica import FAILED_CALLS, LEFT_OUT_S
from open_speech.dispatch.replicas import Replicas
from open_speech.errors import BackendFailed, BackendUnavailable, UnknownReplica, WeightsUnavailable
from open_speech.transcript import Segment
from tests.fake_runner import FakeRunner
from tests.waiting import PATIENCE_S, eventually


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


class Ear(FakeRunner):
    """A replica that hears its own address, and can be stopped, slowed down and broken."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.heard: list[str] = []
        self.loaded: set[str] = set()
        self.loads = 0
        self.files = {"m": 5}
        self.is_dead = self.is_broken = self.is_hanging = False
        self.open = asyncio.Event()
        self.open.set()
        self.pid = 1
        self.exit: dict[str, int] | None = None
        self.closed = 0

    def check(self) -> None:
        if self.is_dead:
            raise RunnerGone(f"{self.address} is dead")

    async def hear(self, call: WindowCall) -> AsyncGenerator[bytes, None]:
        self.check()
        self.heard.append(call.asker)
        if self.is_broken:
            yield error_frame(BackendFailed("broken")).encode()
            return
        await self.open.wait()
        self.check()
        self.loaded.add(call.model)
        yield window_frame(WindowResult("en", 1.0, (Segment(0, 1, self.address),))).encode() + END.encode()

    async def load_model(self, call: LoadModel) -> AsyncGenerator[bytes, None]:
        self.check()
        if self.is_broken:
            yield error_frame(WeightsUnavailable("no space")).encode()
            return
        self.loads += 1
        self.loaded.add(call.model)
        yield END.encode()

    async def remove_model(self, call: RemoveModel) -> AsyncGenerator[bytes, None]:
        self.check()
        freed = self.files.pop(call.model, 0)
        yield Frame(Kind.JSON, b'{"freed_bytes": %d}' % freed).encode() + END.encode()

    async def unload_model(self, question: Any) -> bool:
        self.check()
        was = question.model in self.loaded
        self.loaded.discard(question.model)
        return was

    async def kept_models(self, question: object) -> dict[str, int]:
        self.check()
        return self.files

    async def status(self, question: object) -> dict[str, Any]:
        self.check()
        if self.is_hanging:
            await asyncio.Event().wait()
        return {"pid": self.pid, "loaded": dict.fromkeys(self.loaded, 1.0), "memory_bytes": 10, "previous_exit": self.exit}


class Fleet:
    """The replicas of a backend, and the client of it."""

    def __init__(self, *there: str) -> None:
        self.there: Collection[str] | OSError = there
        self.clock = Clock()
        self.ears: dict[str, Ear] = {}
        self.replicas = Replicas("ear", self, refresh_s=5.0, clock=self.clock)
        self.client = RunnerClient("ear", self.replicas, deadline_s=5)

    def connect(self, address: str) -> Link:
        return self.ears.setdefault(address, Ear(address))

    async def addresses(self) -> Collection[str]:
        if isinstance(self.there, OSError):
            raise self.there
        return self.there

    async def close(self, link: Link) -> None:
        assert isinstance(link, Ear)
        link.closed += 1

    async def hear(self, caller: str = "me", seconds: float = 1.0) -> str:
        window = Window(silence(seconds, STT_RATE), TranscribeOptions())
        return (await self.client.transcribe_window("m", window, caller=caller)).segments[0].text

    async def known(self) -> None:
        await self.replicas.known()

    def failing(self) -> set[str]:
        return {replica.address for replica in self.replicas.members if replica.is_failing}

    async def after(self, seconds: float) -> None:
        """Let time pass for the watch of the replicas, and one of its rounds."""
        self.clock.now += seconds
        await asyncio.sleep(3 * module.PROBE_S)


@asynccontextmanager
async def watched(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> AsyncGenerator[None, None]:
    """Watch the replicas; a round takes no time."""
    monkeypatch.setattr(module, "PROBE_S", 0.001)
    await fleet.known()
    watching = asyncio.create_task(fleet.client.replicas.watch())
    try:
        yield
    finally:
        watching.cancel()
        await asyncio.wait({watching})


def test_calls_that_run_at_the_same_time_are_spread_over_the_replicas() -> None:
    async def scenario() -> None:
        fleet = Fleet("a", "b")
        await fleet.client.load("m", at=ALL)
        for ear in fleet.ears.values():
            ear.open.clear()
        calls = [asyncio.create_task(fleet.hear()) for _ in range(10)]
        await eventually(lambda: sum(len(ear.heard) for ear in fleet.ears.values()) == 10)
        assert [len(ear.heard) for ear in fleet.ears.values()] == [5, 5]
        for ear in fleet.ears.values():
            ear.open.set()
        assert sorted(await asyncio.gather(*calls)) == ["a"] * 5 + ["b"] * 5
        assert [replica.work_s for replica in fleet.replicas.members] == [0.0, 0.0]

    asyncio.run(scenario())


def test_a_model_stays_where_it_is_loaded() -> None:
    async def scenario() -> set[str]:
        fleet = Fleet("a", "b", "c")
        return {await fleet.hear() for _ in range(20)}

    assert len(asyncio.run(scenario())) == 1


def test_a_busy_model_is_loaded_at_another_replica_and_no_call_waits_for_that() -> None:
    async def scenario() -> None:
        fleet = Fleet("a", "b")
        first = fleet.ears[await fleet.hear()]
        (second,) = [ear for ear in fleet.ears.values() if ear is not first]
        first.open.clear()
        calls = [asyncio.create_task(fleet.hear(seconds=WARM_S)) for _ in range(2)]
        await eventually(lambda: second.loads == 1)
        assert len(first.heard) == 3
        assert await fleet.hear() == second.address
        first.open.set()
        await asyncio.gather(*calls)
        assert second.loads == 1

    asyncio.run(scenario())


def test_a_lost_call_is_sent_to_another_replica_at_once_and_the_dead_one_is_left_out() -> None:
    async def scenario() -> None:
        fleet = Fleet("a", "b")
        dead = fleet.ears[await fleet.hear()]
        dead.is_dead = True
        (other,) = set(fleet.ears) - {dead.address}
        assert {await fleet.hear() for _ in range(5)} == {other}
        assert fleet.failing() == {dead.address}
        assert (fleet.client.lost, fleet.client.working) == (1, 1)

    asyncio.run(scenario())


def test_calls_under_way_at_a_replica_that_dies_are_answered_by_the_other() -> None:
    async def scenario() -> None:
        fleet = Fleet("a", "b")
        await fleet.client.load("m", at=ALL)
        dying, other = fleet.ears["a"], fleet.ears["b"]
        dying.open.clear()
        calls = [asyncio.create_task(fleet.hear()) for _ in range(16)]
        await eventually(lambda: len(dying.heard) + len(other.heard) >= 16)
        dying.is_dead = True
        dying.open.set()
        assert await asyncio.gather(*calls) == ["b"] * 16

    asyncio.run(scenario())


def test_a_replica_is_used_again_once_it_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        fleet = Fleet("a", "b")
        async with watched(fleet, monkeypatch):
            fleet.ears["a"].is_dead = True
            await fleet.after(10)
            await eventually(lambda: fleet.failing() == {"a"})
            fleet.ears["a"].is_dead = False
            fleet.clock.now += 10
            await eventually(lambda: not fleet.failing())

    asyncio.run(scenario())


def test_a_replica_that_is_late_once_is_kept_and_one_that_hangs_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("open_speech.dispatch.replica.PROBE_WITHIN_S", 0.01)

    async def scenario() -> None:
        fleet = Fleet("a", "b")
        await fleet.known()
        hanging = fleet.replicas.at("a")
        fleet.ears["a"].is_hanging = True
        await hanging.probe()
        assert fleet.failing() == set()
        await hanging.probe()
        assert fleet.failing() == {"a"}

    asyncio.run(scenario())


def test_a_replica_whose_every_call_fails_is_left_out_for_a_while() -> None:
    async def scenario() -> None:
        fleet = Fleet("a", "b")
        broken = fleet.ears[await fleet.hear()]
        broken.is_broken = True
        for _ in range(FAILED_CALLS):
            with pytest.raises(BackendFailed, match="broken"):
                await fleet.hear()
        assert fleet.failing() == {broken.address}
        assert await fleet.hear() != broken.address
        fleet.clock.now += LEFT_OUT_S
        assert fleet.failing() == set()

    asyncio.run(scenario())


def test_if_all_replicas_fail_they_are_tried_nevertheless() -> None:
    async def scenario() -> None:
        fleet = Fleet("a", "b")
        await fleet.known()
        for ear in fleet.ears.values():
            ear.is_dead = True
        with pytest.raises(BackendUnavailable):
            await fleet.hear()
        assert fleet.failing() == {"a", "b"}
        for ear in fleet.ears.values():
            ear.is_dead = False
        assert await fleet.hear() in "ab"

    asyncio.run(scenario())


def test_replicas_come_and_go_with_the_addresses_of_their_name(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        fleet = Fleet("a", "b")
        async with watched(fleet, monkeypatch):
            fleet.ears["a"].open.clear()
            fleet.there = ["a"]
            fleet.clock.now += 5
            await eventually(lambda: fleet.ears["b"].closed)
            last = asyncio.create_task(fleet.hear())
            await eventually(lambda: fleet.ears["a"].heard)
            fleet.there = ["c"]
            fleet.clock.now += 5
            await eventually(lambda: "c" in fleet.ears)
            assert await fleet.hear() == "c"
            assert not fleet.ears["a"].closed, "a call is under way there"
            fleet.ears["a"].open.set()
            assert await last == "a"
            await eventually(lambda: fleet.ears["a"].closed)
        assert fleet.ears["c"].closed

    asyncio.run(scenario())


@pytest.mark.parametrize("nothing", [OSError("no name server"), []])
def test_without_an_answer_of_the_name_server_the_replicas_stay(
    nothing: Collection[str] | OSError, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        fleet = Fleet("a")
        async with watched(fleet, monkeypatch):
            fleet.there = nothing
            fleet.clock.now += 5
            await eventually(lambda: "cannot be looked up" in caplog.text)
            assert await fleet.hear() == "a"

    asyncio.run(scenario())


def test_a_name_without_an_address_is_a_backend_that_is_not_available() -> None:
    async def scenario() -> None:
        fleet = Fleet()
        for ask in (fleet.hear(), fleet.client.load("m", at=ALL), fleet.client.unload("m")):
            with pytest.raises(BackendUnavailable):
                await ask
        fleet.there = ["a"]
        assert await fleet.hear() == "a"

    asyncio.run(scenario())


def test_loads_and_unloads_name_one_replica_or_all() -> None:
    async def scenario() -> None:
        fleet = Fleet("a", "b", "c")

        def having() -> str:
            return "".join(address for address, ear in fleet.ears.items() if "m" in ear.loaded)

        await fleet.client.load("m", at="b")
        assert having() == "b"
        await fleet.client.load("m", at=ALL)
        assert having() == "abc"
        assert await fleet.client.unload("m", at="a") is True
        assert having() == "bc"
        assert await fleet.client.unload("m") is True
        assert having() == ""
        assert await fleet.client.unload("m", at=ALL) is False
        await fleet.client.load("m")
        await fleet.client.load("m")
        assert len(having()) == 1, "without an address, one replica is enough"
        for ask in (fleet.client.load("m", at="d"), fleet.client.unload("m", at="d")):
            with pytest.raises(UnknownReplica) as unknown:
                await ask
            assert unknown.value.param == "replica"

    asyncio.run(scenario())


def test_a_load_at_all_replicas_needs_no_dead_one_but_reports_an_error() -> None:
    async def scenario() -> None:
        fleet = Fleet("a", "b")
        await fleet.known()
        fleet.ears["a"].is_dead = True
        await fleet.client.load("m", at=ALL)
        assert fleet.ears["b"].loads == 1
        fleet.ears["b"].is_broken = True
        with pytest.raises(WeightsUnavailable):
            await fleet.client.load("m", at=ALL)

    asyncio.run(scenario())


def test_files_are_known_and_deleted_at_every_replica() -> None:
    async def scenario() -> None:
        fleet = Fleet("a", "b")
        await fleet.known()
        fleet.ears["b"].files["n"] = 7
        assert await fleet.client.kept() == {"m": 5, "n": 7}
        assert await fleet.client.remove("m") == 10
        assert await fleet.client.kept() == {"n": 7}

    asyncio.run(scenario())


def test_the_report_has_the_state_of_every_replica() -> None:
    async def scenario() -> None:
        fleet = Fleet("a", "b")
        await fleet.client.load("m", at="a")
        fleet.ears["b"].is_dead = True
        report = await fleet.client.report(within_s=PATIENCE_S)
        assert report.status is not None
        assert (report.status["loaded"], report.status["memory_bytes"]) == ({"m": 1.0}, 10)
        assert [(replica.where, replica.ready) for replica in report.replicas] == [("a", True), ("b", False)]
        fleet.ears["a"].pid = 2
        await fleet.client.report(within_s=PATIENCE_S)
        assert fleet.client.restarts == 1

    asyncio.run(scenario())
