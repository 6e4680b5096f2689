"""Shortening of chat messages: whole turns, with the instructions and the last turn left."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from open_speech.dialogue.trimming import shortened

SYSTEM = {"role": "system", "content": "Be brief."}


def user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


def said(text: str) -> dict[str, Any]:
    return {"role": "assistant", "content": text}


def call(number: int) -> list[dict[str, Any]]:
    asked = {"role": "assistant", "content": None, "tool_calls": [{"id": f"call_{number}", "type": "function"}]}
    return [asked, {"role": "tool", "tool_call_id": f"call_{number}", "content": "done"}]


TALK = [SYSTEM, user("1"), said("one"), user("2"), *call(2), said("two"), user("3")]


@pytest.mark.parametrize(
    ("turns", "rest", "dropped"),
    [(1, [SYSTEM, *TALK[3:]], 1), (2, [SYSTEM, user("3")], 2), (9, [SYSTEM, user("3")], 2)],
)
def test_the_oldest_turns_are_left_out(turns: int, rest: list[dict[str, Any]], dropped: int) -> None:
    assert shortened(TALK, turns) == (rest, dropped)


def test_one_turn_is_never_left_out() -> None:
    for messages in ([user("1")], [SYSTEM, user("1")], [SYSTEM], []):
        assert shortened(messages, 1) == (messages, 0)


def test_the_oldest_tool_calls_of_a_single_turn_are_left_out_with_their_outputs() -> None:
    turn = [user("1"), *call(1), *call(2), *call(3)]
    assert shortened([SYSTEM, *turn], 1) == ([SYSTEM, user("1"), *call(2), *call(3)], 1)
    assert shortened(turn, 5) == ([user("1"), *call(3)], 2)


def test_messages_before_the_first_of_the_user_belong_to_its_turn() -> None:
    assert shortened([SYSTEM, said("Hello!"), user("1"), said("one"), user("2")], 1) == ([SYSTEM, user("2")], 1)


@given(st.lists(st.sampled_from(["user", "assistant", "tool", "system", "calls"]), max_size=20), st.integers(1, 8))
def test_shortening_ends_and_keeps_the_last_message(roles: list[str], turns: int) -> None:
    kinds: list[dict[str, Any]] = [{"role": "assistant", "tool_calls": [1]} if role == "calls" else {"role": role} for role in roles]
    messages = [{**message, "number": number} for number, message in enumerate(kinds)]
    for _ in range(len(messages) + 1):
        rest, dropped = shortened(messages, turns)
        assert (rest == messages) == (dropped == 0)
        assert [message["number"] for message in rest] == sorted(message["number"] for message in rest)
        assert rest[-1:] == messages[-1:]
        if not dropped:
            return
        messages = [dict(message) for message in rest]
    raise AssertionError("it does not end")
