from __future__ import annotations

import asyncio
from contextlib import ExitStack

import pytest

from open_speech.dispatch.admission import LEAST, STANDING_AFTER_S, STANDING_WAIT_S, STOP_RETRY_S, Admission, Ticket
from open_speech.dispatch.throughput import FIRST_GUESS_S
from open_speech.errors import Overloaded, Stopping


class Clock:
    """Seconds that pass only when told to."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


class Runner:
    """A runner that loads when told to."""

    beats = 0
    working = 1


class Door:
    """An admission to one backend, and the requests that were let in through it."""

    def __init__(self, *, max_queue: int = 64, patience_s: float = 30.0, at_once: int = 0) -> None:
        self.clock, self.runner = Clock(), Runner()
        self.admission = Admission({"b": self.runner}, max_queue=max_queue, patience_s=patience_s, at_once={"b": at_once}, clock=self.clock)
        self.line = self.admission.lines["b"]
        self.inside: list[tuple[ExitStack, Ticket]] = []

    def come(self, *, live: bool = False, answers: int = 1) -> Ticket:
        stack = ExitStack()
        ticket = stack.enter_context(self.admission.ticket("b", live=live, answers=answers))
        self.inside.append((stack, ticket))
        return ticket

    def fill(self) -> int:
        """Let requests in until one is refused; tells how many came in."""
        before = len(self.inside)
        try:
            while True:
                self.come()
        except Overloaded:
            return len(self.inside) - before

    def finish_first(self) -> None:
        stack, ticket = self.inside.pop(0)
        ticket.answered()
        stack.close()

    def at_pace(self, seconds: float) -> None:
        """Let so many pass, one at a time, that the pace is settled."""
        for _ in range(60):
            self.come()
            self.clock.now += seconds
            self.finish_first()


def test_a_burst_is_let_in_as_long_as_it_can_be_worked_off_in_time() -> None:
    door = Door(patience_s=30.0)
    door.at_pace(1.0)
    assert door.fill() == pytest.approx(31, abs=1)


def test_a_faster_backend_takes_a_longer_line() -> None:
    slow, fast = (Door(patience_s=5.0, max_queue=500) for _ in range(2))
    slow.at_pace(0.2)
    fast.at_pace(0.04)
    assert fast.fill() > 3 * slow.fill()


def test_a_line_that_never_becomes_empty_is_made_short() -> None:
    door = Door(patience_s=30.0)
    door.at_pace(0.05)
    door.come()
    door.clock.now += STANDING_AFTER_S
    assert 1 + door.fill() == pytest.approx(STANDING_WAIT_S / 0.05 + 1, abs=1)


def test_once_it_was_empty_a_burst_may_come_again() -> None:
    door = Door(patience_s=30.0)
    door.at_pace(0.1)
    door.come()
    door.clock.now += STANDING_AFTER_S
    short = door.fill()
    while door.inside:
        door.finish_first()
    assert door.fill() > 3 * short


def test_a_few_may_always_wait_however_slow_it_is() -> None:
    door = Door(patience_s=0.5)
    door.at_pace(60.0)
    assert door.fill() == LEAST


def test_a_backend_that_answers_many_side_by_side_is_kept_full() -> None:
    door = Door(patience_s=0.5, at_once=16)
    door.at_pace(60.0)
    assert door.fill() == 16


def test_the_number_under_way_is_bounded_whatever_the_pace() -> None:
    door = Door(max_queue=7)
    door.at_pace(0.001)
    assert door.fill() == 7


def test_every_working_replica_adds_its_share_of_the_queue() -> None:
    door = Door(max_queue=7)
    door.at_pace(0.001)
    door.runner.working = 3
    assert door.fill() == 21
    door.runner.working = 1
    with pytest.raises(Overloaded):
        door.come()


def test_a_few_may_always_wait_for_every_replica() -> None:
    door = Door(patience_s=0.5)
    door.at_pace(60.0)
    door.runner.working = 2
    assert door.fill() == 2 * LEAST


def test_a_refusal_says_when_the_line_is_worked_off() -> None:
    door = Door(patience_s=2.0)
    door.at_pace(0.5)
    waiting = door.fill()
    with pytest.raises(Overloaded) as refused:
        door.come()
    assert refused.value.retry_after_s == pytest.approx(waiting * 0.5, rel=0.05)
    assert door.line.refused == 2


def test_a_long_request_that_was_answered_in_part_stands_in_nobody_s_way() -> None:
    door = Door(patience_s=2.0)
    door.at_pace(0.5)
    films = [door.come(answers=8) for _ in range(4)]
    room = door.fill()
    for film in films:
        for _ in range(8):
            film.answered()
    assert door.line.waiting == room
    assert door.fill() == len(films)
    assert door.line.under_way == room + 2 * len(films)


def test_who_leaves_while_waiting_frees_the_place() -> None:
    door = Door(max_queue=2)
    door.fill()
    stack, _ = door.inside.pop()
    stack.close()
    assert door.fill() == 1


def test_a_request_that_fails_frees_its_place_and_does_not_tell_the_pace() -> None:
    door = Door()
    with pytest.raises(ValueError, match="broken"), door.admission.ticket("b", answers=3) as ticket:
        ticket.answered()
        door.clock.now += 100
        raise ValueError("broken")
    assert (door.line.under_way, door.line.waiting, door.line.pace_s) == (0, 0, FIRST_GUESS_S)


def test_live_requests_mind_only_those_that_are_live() -> None:
    door = Door(patience_s=2.0, max_queue=6)
    door.at_pace(0.5)
    door.fill()
    assert door.admission.wait_s("b", live=True) == 0
    door.come(live=True)
    assert door.line.live == 1


def test_live_requests_are_bounded_too() -> None:
    door = Door(max_queue=3)
    for _ in range(3):
        door.come(live=True)
    with pytest.raises(Overloaded):
        door.come(live=True)


def test_a_model_that_loads_is_no_sign_of_too_much_work() -> None:
    door = Door(patience_s=30.0)
    door.at_pace(0.1)
    door.come()
    for _ in range(60):
        door.clock.now += 1
        door.runner.beats += 1
        door.come()
    door.finish_first()
    assert door.line.pace_s == pytest.approx(0.1, rel=0.05), "what waited for the load tells nothing of the pace"


def test_only_the_first_piece_of_a_request_may_be_given_up() -> None:
    ticket = Door(patience_s=12.0).come()
    assert [ticket.patience_s(), ticket.patience_s()] == [12.0, 0.0]


def test_a_closed_door_says_when_to_come_back_and_lets_the_others_finish() -> None:
    async def scenario() -> tuple[bool, bool]:
        door = Door()
        door.come()
        door.admission.close()
        with pytest.raises(Stopping) as refused:
            door.come()
        assert refused.value.retry_after_s == STOP_RETRY_S
        asyncio.get_running_loop().call_later(0.15, door.finish_first)
        return await door.admission.finish(within_s=5), door.admission.is_closed

    assert asyncio.run(scenario()) == (True, True)


def test_the_wait_for_the_others_is_bounded() -> None:
    async def scenario() -> bool:
        door = Door()
        door.come()
        return await door.admission.finish(within_s=0)

    assert asyncio.run(scenario()) is False


def test_the_figures_add_up() -> None:
    door = Door()
    door.come()
    door.come(live=True)
    door.clock.now += 3
    door.finish_first()
    line = door.line
    assert (line.accepted, line.under_way, line.waiting, line.live) == (2, 1, 1, 1)
    assert line.waited_s == pytest.approx(3)
