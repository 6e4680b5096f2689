from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from concurrent.futures import CancelledError, Future

import pytest

from open_speech.errors import Overloaded
from open_speech.wire import FILE, LIVE, LIVE_PARTIAL
from runners._line import Line, give_up_after


class Gate:
    """Work that begins when a thread takes it and ends when the test lets it."""

    def __init__(self) -> None:
        self.order: list[str] = []
        self.begun = threading.Semaphore(0)
        self.go_on = threading.Semaphore(0)

    def work(self, name: str) -> str:
        self.order.append(name)
        self.begun.release()
        assert self.go_on.acquire(timeout=5)
        return name

    def let(self, pieces: int) -> None:
        for _ in range(pieces):
            self.go_on.release()


@pytest.fixture
def gate() -> Gate:
    return Gate()


def busy(gate: Gate) -> Line:
    """A line with one thread, which is at work."""
    line = Line(1)
    line.submit(FILE, lambda: gate.work("first"))
    assert gate.begun.acquire(timeout=5)
    return line


def put(line: Line, gate: Gate, name: str, urgency: int = FILE) -> Future[str]:
    return line.submit(urgency, lambda: gate.work(name))


def test_what_somebody_waits_for_goes_before_files_and_equals_in_the_order_they_came(gate: Gate) -> None:
    line = busy(gate)
    wanted = [("file", FILE), ("file too", FILE), ("partial", LIVE_PARTIAL), ("live", LIVE), ("live too", LIVE)]
    futures = [put(line, gate, name, urgency) for name, urgency in wanted]
    gate.let(6)
    assert [future.result(5) for future in futures] == [name for name, _ in wanted]
    assert gate.order == ["first", "live", "live too", "partial", "file", "file too"]


def test_work_that_waits_can_be_cancelled_and_never_begins(gate: Gate) -> None:
    line = busy(gate)
    gone, kept = put(line, gate, "gone"), put(line, gate, "kept")
    assert gone.cancel()
    gate.let(2)
    assert kept.result(5) == "kept"
    with pytest.raises(CancelledError):
        gone.result(5)
    assert "gone" not in gate.order


def test_a_failure_is_its_own_and_the_thread_goes_on(gate: Gate) -> None:
    line = Line(1)
    with pytest.raises(ZeroDivisionError):
        line.submit(FILE, lambda: 1 // 0).result(5)
    assert line.submit(FILE, lambda: "next").result(5) == "next"


def test_who_waited_too_long_is_told_at_once_and_not_when_the_turn_comes(gate: Gate) -> None:
    line = busy(gate)

    async def scenario() -> None:
        turn = line.turn(FILE, 0.05)
        with pytest.raises(Overloaded) as refused:
            await asyncio.wait_for(asyncio.wrap_future(turn.submit(gate.work, "late")), 5)
        assert refused.value.retry_after_s == 0.05

    asyncio.run(scenario())
    gate.let(1)
    assert line.submit(FILE, lambda: "after").result(5) == "after"
    assert gate.order == ["first"]


def test_what_has_begun_is_never_given_up(gate: Gate) -> None:
    async def scenario() -> str:
        line = Line(1)
        future = line.turn(FILE, 0.02).submit(gate.work, "slow")
        await asyncio.sleep(0.1)
        gate.let(1)
        return await asyncio.wrap_future(future)

    assert asyncio.run(scenario()) == "slow"


def test_only_the_first_piece_of_a_call_has_a_limit(gate: Gate) -> None:
    async def scenario() -> list[str]:
        line = Line(1)
        turn = line.turn(FILE, 0.05)
        first = turn.submit(gate.work, "first")
        gate.let(1)
        done = [await asyncio.wrap_future(first)]
        line.submit(FILE, lambda: gate.work("another call"))
        second = turn.submit(gate.work, "second")
        await asyncio.sleep(0.15)
        gate.let(2)
        return [*done, await asyncio.wrap_future(second)]

    assert asyncio.run(scenario()) == ["first", "second"]


def test_no_limit_starts_no_clock() -> None:
    give_up_after(0, Line(1), Future())  # there is no event loop here, and none is needed


def test_a_thread_that_waits_holds_nothing_of_the_last_work() -> None:
    class Model:
        def speak(self) -> str:
            return "sound"

    model = Model()
    line = Line(1)
    assert line.turn().submit(model.speak).result(5) == "sound"
    assert line.submit(FILE, lambda: "other").result(5) == "other"
    gone = weakref.ref(model)
    del model
    gc.collect()
    assert gone() is None
