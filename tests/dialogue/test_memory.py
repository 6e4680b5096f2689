"""The turns of sessions, within limits: on plain values, with times of the test's own."""

from __future__ import annotations

import pytest

from open_speech.dialogue.memory import Bounds, Conversation, Memory, SessionKey, Turn, estimated_tokens, within

ANN, BEN = SessionKey("name:ann", "kitchen"), SessionKey("name:ben", "kitchen")


def turn(number: int, tokens: int = 1) -> Turn:
    return Turn(f"question {number}", f"answer {number}", tokens)


def said(memory: Memory, key: SessionKey, now: float = 0.0) -> list[str]:
    return [kept.user for kept in memory.get(key, now).turns]


def test_turns_are_kept_in_order_and_apart_for_each_owner() -> None:
    memory = Memory(Bounds())
    for number in (1, 2):
        assert memory.add(ANN, turn(number), 0.0) == []
    memory.add(BEN, turn(3), 0.0)
    assert said(memory, ANN) == ["question 1", "question 2"]
    assert said(memory, BEN) == ["question 3"]
    assert list(memory.of("name:ann", 0.0)) == ["kitchen"]


@pytest.mark.parametrize(
    ("bounds", "kept"),
    [(Bounds(turns=2), [3, 4]), (Bounds(turns=0), []), (Bounds(tokens=25), [3, 4]), (Bounds(tokens=9), []), (Bounds(), [1, 2, 3, 4])],
)
def test_the_newest_turns_within_the_limits_are_kept(bounds: Bounds, kept: list[int]) -> None:
    turns = [turn(number, 10) for number in (1, 2, 3, 4)]
    assert within(turns, bounds) == tuple(turns[number - 1] for number in kept)
    memory = Memory(bounds)
    for one in turns:
        memory.add(ANN, one, 0.0)
    assert said(memory, ANN) == [f"question {number}" for number in kept]


def test_a_session_expires_after_its_last_turn() -> None:
    memory = Memory(Bounds(ttl_s=10))
    memory.add(ANN, turn(1), 0.0)
    memory.add(ANN, turn(2), 9.0)
    assert len(said(memory, ANN, 18.9)) == 2
    assert said(memory, ANN, 19.0) == []
    assert memory.of("name:ann", 19.0) == {}
    assert memory.expire(19.0) == [ANN]
    assert memory.find(ANN) is None


def test_a_turn_after_the_expiry_begins_anew() -> None:
    memory = Memory(Bounds(ttl_s=10))
    memory.add(ANN, turn(1), 0.0)
    memory.add(ANN, turn(2), 10.0)
    assert said(memory, ANN, 10.0) == ["question 2"]


def test_the_least_recently_used_session_is_forgotten_first() -> None:
    memory = Memory(Bounds(sessions=2))
    keys = [SessionKey("", name) for name in "abc"]
    memory.add(keys[0], turn(1), 0.0)
    memory.add(keys[1], turn(2), 1.0)
    memory.add(keys[0], turn(3), 2.0)
    assert memory.add(keys[2], turn(4), 3.0) == [keys[1]]
    assert list(memory.of("", 3.0)) == ["c", "a"]


def test_one_owner_cannot_push_out_the_sessions_of_another() -> None:
    memory = Memory(Bounds(sessions=10, sessions_each=2))
    memory.add(BEN, turn(1), 0.0)
    gone = [key for number in range(4) for key in memory.add(SessionKey("name:ann", str(number)), turn(number), 1.0)]
    assert [key.id for key in gone] == ["0", "1"]
    assert said(memory, BEN, 1.0) == ["question 1"]


def test_a_session_is_forgotten_once() -> None:
    memory = Memory(Bounds())
    memory.add(ANN, turn(1), 0.0)
    assert memory.forget(ANN)
    assert not memory.forget(ANN)
    assert said(memory, ANN) == []


def test_restored_sessions_are_within_the_limits_of_this_process() -> None:
    memory = Memory(Bounds(turns=1, ttl_s=10, sessions=2))
    old = {SessionKey("", name): Conversation((turn(1), turn(2)), at) for name, at in (("old", 0.0), ("a", 6.0), ("b", 7.0), ("c", 8.0))}
    assert {key.id for key in memory.restore(old, 10.0)} == {"old", "a"}
    assert list(memory.of("", 10.0)) == ["c", "b"]
    assert said(memory, SessionKey("", "c"), 10.0) == ["question 2"]


def test_the_name_of_a_file_is_hexadecimal_and_different_for_each_owner_and_id() -> None:
    keys = [
        SessionKey("a", "bc"),
        SessionKey("ab", "c"),
        SessionKey("", "abc"),
        SessionKey("", "../../etc/passwd"),
        SessionKey("", "\ud800"),
    ]
    names = {key.digest for key in keys}
    assert len(names) == len(keys)
    assert all(len(name) == 64 and set(name) <= set("0123456789abcdef") for name in names)


def test_tokens_are_estimated_from_the_characters() -> None:
    assert [estimated_tokens(text) for text in ("", "four", "fives", "x" * 400)] == [1, 1, 2, 100]
