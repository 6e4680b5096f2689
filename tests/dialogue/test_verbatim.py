from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from open_speech.dialogue.verbatim import Verbatim


@pytest.mark.parametrize(
    ("text", "pieces", "expected"),
    [
        ("Hello there. How are you?", ["Hello there.", "How are you?"], ["Hello there. ", "How are you?"]),
        ("你好，世界。今天天气很好。", ["你好，世界。", "今天天气很好。"], ["你好，世界。", "今天天气很好。"]),
        ("**Dr. Smith** has 5 apples. He eats one.", ["Dr. Smith has five apples.", "He eats one."],
         ["**Dr. Smith** has 5 apples. ", "He eats one."]),
        ("It was 12:30. Then came 2001. So what?", ["It was twelve thirty.", "Then came two thousand one.", "So what?"],
         ["It was 12:30. ", "Then came 2001. ", "So what?"]),
        ("He said: “Go!” And he went.", ["He said: “Go!”", "And he went."], ["He said: “Go!” ", "And he went."]),
    ],
)  # fmt: skip
def test_each_piece_says_the_sentence_it_comes_from(text: str, pieces: list[str], expected: list[str]) -> None:
    verbatim = Verbatim(text)
    assert [verbatim.take(piece) for piece in pieces] == expected
    assert verbatim.rest() == ""


def test_a_text_may_grow_while_it_is_taken() -> None:
    verbatim = Verbatim()
    verbatim.put("One is here. Two is")
    assert verbatim.take("One is here.") == "One is here. "
    verbatim.put(" there.")
    assert verbatim.take("Two is there.") == "Two is there."


def test_what_is_spoken_after_the_text_has_no_text() -> None:
    verbatim = Verbatim("All.")
    assert [verbatim.take("All."), verbatim.take("More."), verbatim.rest()] == ["All.", "", ""]


@given(st.text(max_size=300), st.lists(st.text(max_size=60), max_size=8))
def test_all_that_is_taken_joined_is_the_text_whatever_is_spoken(text: str, pieces: list[str]) -> None:
    verbatim = Verbatim(text)
    assert "".join([*(verbatim.take(piece) for piece in pieces), verbatim.rest()]) == text
