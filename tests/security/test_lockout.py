from __future__ import annotations

import pytest

from open_speech.security.lockout import LOCKED_TRIES, REMEMBERED_S, RIGHT_KEYS, Guesses, sender_of


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def guesses(clock: Clock) -> Guesses:
    return Guesses(limit=3, window_s=60, senders=2, clock=clock)


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


def test_a_right_key_of_a_locked_sender_is_let_through_and_a_new_one_is_not(guesses: Guesses, clock: Clock) -> None:
    guesses.right("x", b"ours")
    guesses.wrong("x", [b"a", b"b", b"c"])
    assert guesses.wait_s("x") == 60
    assert guesses.let_through("x", [b"d", b"ours"]) == [b"ours"]
    assert guesses.let_through("x", [b"d"]) == []
    assert guesses.let_through("y", [b"ours"]) == []
    clock.now += REMEMBERED_S
    assert guesses.let_through("x", [b"ours"]) == []


def test_the_last_use_of_a_right_key_counts(guesses: Guesses, clock: Clock) -> None:
    for _ in range(3):
        guesses.right("x", b"ours")
        clock.now += REMEMBERED_S / 2
    assert guesses.let_through("x", [b"ours"]) == [b"ours"]


def test_guesses_at_a_right_key_have_an_end_within_a_window(guesses: Guesses, clock: Clock) -> None:
    guesses.right("x", b"ours")
    for n in range(LOCKED_TRIES - 1):
        guesses.let_through("x", [b"guess %d" % n])
        assert guesses.let_through("x", [b"ours"])
    guesses.let_through("x", [b"one more"])
    assert guesses.let_through("x", [b"ours"]) == []
    clock.now += 61
    assert guesses.let_through("x", [b"ours"]) == [b"ours"]


def test_the_right_keys_of_a_sender_are_bounded(guesses: Guesses) -> None:
    for n in range(RIGHT_KEYS + 5):
        guesses.right("x", b"%d" % n)
    assert guesses.let_through("x", [b"%d" % n for n in range(RIGHT_KEYS + 5)]) == [b"%d" % n for n in range(5, RIGHT_KEYS + 5)]


@pytest.mark.parametrize(
    ("headers", "sender"),
    [
        ({"host": "nas:8100"}, "1.2.3.4"),
        ({"host": "nas:8100", "origin": "http://nas:8100"}, "1.2.3.4 own pages"),
        ({"host": "nas:8100", "origin": "https://app.example"}, "1.2.3.4 own pages"),
        ({"host": "nas:8100", "origin": "http://nas"}, "1.2.3.4 other pages"),
        ({"host": "nas:8100", "origin": "https://evil.example"}, "1.2.3.4 other pages"),
        ({"host": "nas:8100", "origin": "null"}, "1.2.3.4 other pages"),
        ({"host": "nas:8100", "origin": ""}, "1.2.3.4 other pages"),
        ({"host": "nas:8100", "sec-fetch-site": "cross-site"}, "1.2.3.4 other pages"),
        ({"host": "nas:8100", "sec-fetch-site": "same-origin"}, "1.2.3.4"),
    ],
)
def test_the_pages_of_other_sites_are_a_sender_of_their_own(headers: dict[str, str], sender: str) -> None:
    assert sender_of("1.2.3.4", headers, ["https://app.example"]) == sender
