from __future__ import annotations

from contextlib import ExitStack

import pytest

from open_speech.concurrency.slots import Slots
from open_speech.errors import Overloaded


def test_a_seat_is_free_again_when_its_connection_ends() -> None:
    slots = Slots(1)
    for _ in range(2):
        with slots.taken(), pytest.raises(Overloaded, match="OS_STREAM_MAX_CONNECTIONS"), slots.taken():
            raise AssertionError("there was no seat")


def test_one_key_takes_no_more_than_its_share_and_gets_it_back() -> None:
    slots = Slots(4, each=2)
    for _ in range(2):
        with ExitStack() as stack:
            for holder in ("ann", "ann", "bob"):
                stack.enter_context(slots.taken(holder))
            with pytest.raises(Overloaded, match="OS_KEY_SHARE"), slots.taken("ann"):
                raise AssertionError("that is more than its share")
            stack.enter_context(slots.taken("bob"))
            with pytest.raises(Overloaded, match="Too many"), slots.taken("eve"):
                raise AssertionError("all seats are taken")


def test_a_fixed_number_names_no_setting() -> None:
    with pytest.raises(Overloaded, match=r"^Too many streams are open\.$"), Slots(0, "", kind="streams").taken():
        raise AssertionError("there was no seat")
