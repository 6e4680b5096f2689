from __future__ import annotations

import asyncio

import pytest

from open_speech.shared_state.allowances import LocalAllowances, Rate, Share


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def take(allowances: LocalAllowances, caller: str = "x") -> Share:
    return asyncio.run(allowances.take(caller))


def test_a_minutes_worth_may_come_at_once_and_is_then_earned_again_bit_by_bit(clock: Clock) -> None:
    allowances = LocalAllowances(Rate.of(6), clock=clock)
    assert [take(allowances).remaining for _ in range(6)] == [5, 4, 3, 2, 1, 0]
    assert take(allowances) == Share(limit=6, remaining=0, full_s=60, wait_s=10)
    clock.now += 10
    assert take(allowances).wait_s == 0
    assert take(allowances).wait_s == 10
    clock.now += 3600
    assert take(allowances) == Share(6, 5, 10, 0)


def test_fewer_or_more_may_be_let_in_at_once_than_in_a_minute(clock: Clock) -> None:
    for at_once in (2, 90):
        allowances = LocalAllowances(Rate.of(60, at_once), clock=clock)
        accepted = [take(allowances).wait_s == 0 for _ in range(at_once + 5)]
        assert accepted == [True] * at_once + [False] * 5
        clock.now += 60
        spread = 0
        for _ in range(240):
            clock.now += 0.25
            spread += take(allowances).wait_s == 0
        assert spread == pytest.approx(60, abs=at_once)


@pytest.mark.parametrize("per_minute", [1, 7, 60, 999, 100_000])
def test_a_burst_is_exact_whether_or_not_a_minute_can_be_divided(per_minute: int, clock: Clock) -> None:
    at_once = min(per_minute, 50)
    allowances = LocalAllowances(Rate.of(per_minute, at_once), clock=clock)
    shares = [take(allowances) for _ in range(at_once + 1)]
    assert [share.remaining for share in shares] == [*range(at_once - 1, -1, -1), 0]
    assert [share.wait_s > 0 for share in shares] == [False] * at_once + [True]


def test_who_is_refused_loses_nothing_by_asking(clock: Clock) -> None:
    allowances = LocalAllowances(Rate.of(60, 1), clock=clock)
    for _ in range(51):
        take(allowances)
    clock.now += 1
    assert take(allowances).wait_s == 0


def test_callers_do_not_pay_for_each_other_and_only_so_many_are_remembered(clock: Clock) -> None:
    allowances = LocalAllowances(Rate.of(1), callers=2, clock=clock)
    assert [take(allowances, caller).wait_s for caller in "xyxyz"] == [0, 0, 60, 60, 0]
    assert take(allowances, "y").wait_s == 60
    assert take(allowances, "x").wait_s == 0
