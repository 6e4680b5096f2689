"""Asking again: what passes is asked again, what was answered in part is not, and nobody waits longer than was set."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from open_speech.errors import BackendFailed, BackendUnavailable, Overloaded
from runners.support.retry import Busy, Patience

Question = Callable[[float], Iterator[str]]
GONE = Busy(BackendUnavailable("It is not there."))


def asked(*answers: list[str | Exception]) -> tuple[Question, list[float]]:
    """A question that gets one answer after the other, and the deadlines it was given."""
    deadlines: list[float] = []
    left = list(answers)

    def question(deadline: float) -> Iterator[str]:
        deadlines.append(deadline)
        for item in left.pop(0):
            if isinstance(item, Exception):
                raise item
            yield item

    return question, deadlines


def test_an_answer_is_given_as_it_comes() -> None:
    question, deadlines = asked(["a", "b"])
    assert list(Patience(60, 3).ask(question)) == ["a", "b"]
    assert len(deadlines) == 1


def test_an_empty_answer_is_an_answer() -> None:
    question, deadlines = asked([], ["b"])
    assert list(Patience(60, 3).ask(question)) == []
    assert len(deadlines) == 1


def test_what_passes_is_asked_again_with_the_same_deadline() -> None:
    question, deadlines = asked([GONE], ["a"])
    assert list(Patience(60, 1).ask(question)) == ["a"]
    assert deadlines[0] == deadlines[1]


def test_the_last_failure_is_told() -> None:
    question, deadlines = asked([Busy(Overloaded("Too much."))], [GONE])
    with pytest.raises(BackendUnavailable):
        list(Patience(60, 1).ask(question))
    assert len(deadlines) == 2


def test_what_broke_in_the_midst_is_an_error_and_is_not_asked_again() -> None:
    question, deadlines = asked(["a", GONE], ["a"])
    answer = Patience(60, 3).ask(question)
    assert next(answer) == "a"
    with pytest.raises(BackendFailed):
        next(answer)
    assert len(deadlines) == 1


def test_another_failure_is_not_asked_again() -> None:
    question, deadlines = asked([BackendFailed("No.")], ["a"])
    with pytest.raises(BackendFailed):
        list(Patience(60, 3).ask(question))
    assert len(deadlines) == 1


@pytest.mark.parametrize(("timeout_s", "wait_s"), [(60, 30), (0.1, 0)])
def test_nobody_waits_beyond_the_deadline_or_the_longest_pause(timeout_s: float, wait_s: float) -> None:
    question, deadlines = asked([Busy(Overloaded("Too much.", retry_after_s=wait_s), wait_s)], ["a"])
    paused: list[float] = []
    with pytest.raises(Overloaded):
        list(Patience(timeout_s, 3, paused.append).ask(question))
    assert paused == []
    assert len(deadlines) == 1


def test_who_says_how_long_to_wait_is_believed() -> None:
    question, _ = asked([Busy(Overloaded("Too much."), 0.9)], ["a"])
    paused: list[float] = []
    assert list(Patience(60, 1, paused.append).ask(question)) == ["a"]
    assert paused == [0.9]
