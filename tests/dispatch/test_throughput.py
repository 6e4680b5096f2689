from __future__ import annotations

import pytest

from open_speech.dispatch.throughput import FIRST_GUESS_S, Mark, Throughput


class Clock:
    """Seconds that pass only when told to."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def settled(clock: Clock, *, side_by_side: int, each_s: float) -> float:
    """The pace after many rounds in which so many wait together and are all answered after `each_s`."""
    pace = Throughput(clock)
    for _ in range(60):
        marks = [pace.join() for _ in range(side_by_side)]
        clock.now += each_s
        for mark in marks:
            pace.leave(mark, counts=True)
    return pace.seconds


def test_before_anything_was_seen_a_guess_is_made() -> None:
    assert Throughput(Clock()).seconds == FIRST_GUESS_S


@pytest.mark.parametrize(("side_by_side", "each_s", "expected"), [(1, 2.0, 2.0), (4, 2.0, 0.5), (8, 0.8, 0.1)])
def test_who_waits_side_by_side_is_answered_so_much_more_often(side_by_side: int, each_s: float, expected: float) -> None:
    assert settled(Clock(), side_by_side=side_by_side, each_s=each_s) == pytest.approx(expected, rel=0.01)


def test_a_queue_before_one_worker_has_the_pace_of_the_worker() -> None:
    """Five wait in turn for one who needs 0.3 s for each; when one is answered the next joins, so the wait is 1.5 s and the pace 0.3 s."""
    clock = Clock()
    pace = Throughput(clock)
    queue: list[Mark] = [pace.join() for _ in range(5)]
    for _ in range(200):
        clock.now += 0.3
        pace.leave(queue.pop(0), counts=True)
        queue.append(pace.join())
    assert pace.seconds == pytest.approx(0.3, rel=0.01)
    assert pace.waiting == 5


def test_who_leaves_without_an_answer_tells_nothing_of_the_pace() -> None:
    clock = Clock()
    pace = Throughput(clock)
    mark = pace.join()
    clock.now += 50
    pace.leave(mark, counts=False)
    assert (pace.seconds, pace.waiting) == (FIRST_GUESS_S, 0)


def test_an_answer_in_no_time_at_all_is_no_division_by_zero() -> None:
    pace = Throughput(Clock())
    pace.leave(pace.join(), counts=True)
    assert pace.seconds == FIRST_GUESS_S
