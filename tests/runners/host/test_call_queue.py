from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from concurrent.futures import CancelledError, Future

import pytest

from open_speech.dispatch.frames import FILE, LIVE, LIVE_PARTIAL
from open_speech.errors import Overloaded
from runners.host.call_queue import CallQueue, give_up_after
from tests.waiting import PATIENCE_S


class Gate:
    """Work that begins when a thread takes it and ends when the test lets it."""

    def __init__(self) -> None:
        self.order: list[str] = []
        self.begun = threading.Semaphore(0)
        self.go_on = threading.Semaphore(0)

    def work(self, name: str) -> str:
        self.order.append(name)
        self.begun.release()
        assert self.go_on.acquire(timeout=PATIENCE_S)
        return name

    def let(self, pieces: int) -> None:
        for _ in range(pieces):
            self.go_on.release()


@pytest.fixture
def gate() -> Gate:
    return Gate()


def busy(gate: Gate) -> CallQueue:
    """A line with one thread, which is at work."""
    line = CallQueue(1)
    line.submit(FILE, lambda: gate.work("first"))
    assert gate.begun.acquire(timeout=PATIENCE_S)
    return line


def put(line: CallQueue, gate: Gate, name: str, urgency: int = FILE) -> Future[str]:
    return line.submit(urgency, lambda: gate.work(name))


def test_what_somebody_waits_for_goes_before_files_and_equals_in_the_order_they_came(gate: Gate) -> None:
    line = busy(gate)
    wanted = [("file", FILE), ("file too", FILE), ("partial", LIVE_PARTIAL), ("live", LIVE), ("live too", LIVE)]
    futures = [put(line, gate, name, urgency) for name, urgency in wanted]
    gate.let(6)
    assert [future.result(PATIENCE_S) for future in futures] == [name for name, _ in wanted]
    assert gate.order == ["first", "live", "live too", "partial", "file", "file too"]


def test_work_that_waits_can_be_cancelled_and_never_begins(gate: Gate) -> None:
    line = busy(gate)
    gone, kept = put(line, gate, "gone"), put(line, gate, "kept")
    assert gone.cancel()
    gate.let(2)
    assert kept.result(PATIENCE_S) == "kept"
    with pytest.raises(CancelledError):
        gone.result(PATIENCE_S)
    assert "gone" not in gate.order


def test_a_failure_is_its_own_and_the_thread_goes_on(gate: Gate) -> None:
    line = CallQueue(1)
    with pytest.raises(ZeroDivisionError):
        line.submit(FILE, lambda: 1 // 0).result(PATIENCE_S)
    assert line.submit(FILE, lambda: "next").result(PATIENCE_S) == "next"


def test_who_waited_too_long_is_told_at_once_and_not_when_the_turn_comes(gate: Gate) -> None:
    line = busy(gate)

    async def scenario() -> None:
        turn = line.turn(FILE, 0.05)
        with pytest.raises(Overloaded) as refused:
            await asyncio.wait_for(asyncio.wrap_future(turn.submit(gate.work, "late")), PATIENCE_S)
        assert refused.value.retry_after_s == 0.05

    asyncio.run(scenario())
    gate.let(1)
    assert line.submit(FILE, lambda: "after").result(PATIENCE_S) == "after"
    assert gate.order == ["first"]


def test_what_has_begun_is_never_given_up(gate: Gate) -> None:
    async def scenario() -> str:
        line = CallQueue(1)
        future = line.turn(FILE, 0.5).submit(gate.work, "slow")
        await asyncio.sleep(1)
        gate.let(1)
        return await asyncio.wrap_future(future)

    assert asyncio.run(scenario()) == "slow"


def test_only_the_first_piece_of_a_call_has_a_limit(gate: Gate) -> None:
    async def scenario() -> list[str]:
        line = CallQueue(1)
        turn = line.turn(FILE, 0.5)
        first = turn.submit(gate.work, "first")
        gate.let(1)
        done = [await asyncio.wrap_future(first)]
        line.submit(FILE, lambda: gate.work("another call"))
        second = turn.submit(gate.work, "second")
        await asyncio.sleep(1)
        gate.let(2)
        return [*done, await asyncio.wrap_future(second)]

    assert asyncio.run(scenario()) == ["first", "second"]


def test_no_limit_starts_no_clock() -> None:
    give_up_after(0, CallQueue(1), Future())  # there is no event loop here, and none is needed


def test_a_thread_that_waits_holds_nothing_of_the_last_work() -> None:
    class Model:
        def speak(self) -> str:
            return "sound"

    model = Model()
    line = CallQueue(1)
    assert line.turn().submit(model.speak).result(PATIENCE_S) == "sound"
    assert line.submit(FILE, lambda: "other").result(PATIENCE_S) == "other"
    gone = weakref.ref(model)
    del model
    gc.collect()
    assert gone() is None
