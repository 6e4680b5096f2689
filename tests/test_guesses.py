from __future__ import annotations

import pytest

from open_speech.guesses import Guesses


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def guesses(clock: Clock) -> Guesses:
    return Guesses(limit=3, window_s=60, addresses=2, clock=clock)


def test_who_tries_different_keys_is_not_looked_at_until_the_first_is_a_minute_old(guesses: Guesses, clock: Clock) -> None:
    for key in (b"a", b"b", b"c"):
        assert guesses.wait_s("x") == 0
        guesses.wrong("x", [key])
        clock.now += 10
    assert guesses.wait_s("x") == pytest.approx(30)
    assert guesses.wait_s("y") == 0
    clock.now += 30
    assert guesses.wait_s("x") == 0
    guesses.wrong("x", [b"d"])
    assert guesses.wait_s("x") == pytest.approx(10)


def test_the_same_wrong_key_again_and_again_is_no_guess(guesses: Guesses) -> None:
    for _ in range(100):
        guesses.wrong("x", [b"a"])
    assert guesses.wait_s("x") == 0


def test_many_keys_in_one_request_count_each(guesses: Guesses) -> None:
    guesses.wrong("x", [b"a", b"b", b"c", b"d"])
    assert guesses.wait_s("x") == 60


def test_no_more_addresses_are_remembered_than_it_may(guesses: Guesses) -> None:
    for address in ("x", "y", "z"):
        guesses.wrong(address, [b"a", b"b", b"c"])
    assert [guesses.wait_s(address) for address in ("x", "y", "z")] == [0, 60, 60]
