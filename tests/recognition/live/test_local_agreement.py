from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from open_speech.recognition.live.local_agreement import HELD_BACK_WORDS, Agreement, joined, plain, shared_out, words_of

TEXT = st.lists(st.sampled_from(["a", "b", "C", "d,", "e.", "-", "it's", "你", "好。", "ไทย", "ﬁ", "..."]), max_size=12).map(" ".join)
ANYTHING = st.text(max_size=40) | TEXT


def given_out(*hypotheses: str, before: str = "") -> list[str]:
    agreement = Agreement(before)
    return [agreement.partial(text) for text in hypotheses]


def test_one_pass_alone_gives_nothing() -> None:
    assert given_out("one two three four five six") == [""]


def test_what_two_passes_agree_on_is_given_out_but_for_its_last_words() -> None:
    assert HELD_BACK_WORDS == 3
    assert given_out("one two three", "one two three four five") == ["", "one two"]
    assert given_out("one two three", "one two three four five six seven") == ["", "one two three"]


def test_words_that_are_held_back_come_with_the_next_pass() -> None:
    longer = ["one two three", "one two three four five", "one two three four five six seven"]
    assert given_out(*longer) == ["", "one two", " three four"]


def test_a_pass_that_hears_another_beginning_gives_nothing() -> None:
    assert given_out("one two three four five", "won too free four five six") == ["", ""]


def test_case_and_marks_do_not_hinder_agreement_and_the_later_spelling_is_given() -> None:
    assert given_out("one two. three four", "One Two, three four five six seven") == ["", "One Two, three four"]


def test_a_mark_waits_for_the_word_after_it() -> None:
    agreement = Agreement()
    agreement.partial("one two, three four five")
    assert agreement.partial("one two, three four five") == "one two"
    assert agreement.partial("one two. Three four five six") == ". Three"
    assert agreement.final("one two. Three four five six.") == " four five six."


def test_a_pass_that_hears_less_takes_nothing_back() -> None:
    assert given_out("a b c d e f", "a b c d e f", "a b", "a b c d e f g h", "a b c d e f g h") == ["", "a b c", "", "", " d e"]


def test_the_final_text_is_what_is_left() -> None:
    agreement = Agreement()
    agreement.partial("one two three four five")
    assert agreement.partial("one two three four five") == "one two"
    assert agreement.final("one two three four five.") == " three four five."
    assert agreement.sent_text == "one two three four five."


@pytest.mark.parametrize(
    ("final", "whole"),
    [
        ("one two three", "one two three"),
        ("One, two; three!", "one two; three!"),
        ("won two three", "one two three"),
        ("two three", "one two three"),
        ("one too three", "one two three"),
        ("one and two three", "one two three"),
        ("something else was said", "one two was said"),
        ("one two", "one two"),
        ("one two.", "one two."),
        ("one", "one two"),
        ("", "one two"),
    ],
)
def test_a_final_text_that_differs_goes_on_where_it_fits_best(final: str, whole: str) -> None:
    agreement = Agreement()
    agreement.partial("one two x y z")
    agreement.partial("one two x y z")
    assert agreement.sent_text == "one two"
    agreement.final(final)
    assert agreement.sent_text == whole


def test_a_script_without_spaces_is_given_out_by_characters() -> None:
    agreement = Agreement()
    agreement.partial("今天天气")
    assert agreement.partial("今天天气很好") == "今天天"
    assert agreement.final("今天天气很好。") == "气很好。"


def test_a_later_stretch_is_joined_with_a_space_where_its_script_has_one() -> None:
    assert Agreement("First.").final("Second.") == " Second."
    assert Agreement("你好。").final("今天") == "今天"
    assert Agreement("").final(" First.") == "First."
    assert joined("", "x ") == "x"
    assert joined("x", "  ") == ""


@given(st.lists(ANYTHING, max_size=8), ANYTHING, ANYTHING)
def test_the_pieces_joined_are_the_text_whatever_was_heard(hypotheses: list[str], final: str, before: str) -> None:
    agreement = Agreement(before)
    pieces = [agreement.partial(text) for text in hypotheses]
    out_before = agreement.sent_text
    pieces.append(agreement.final(final))
    assert "".join(pieces) == agreement.sent_text
    assert agreement.sent_text.startswith(out_before)


@given(st.lists(ANYTHING, max_size=6))
def test_the_final_text_stands_as_it_is_where_nothing_else_was_given_out(texts: list[str]) -> None:
    said = ""
    for text in texts:
        agreement = Agreement(said)
        said += agreement.final(text)
    assert "".join(map(plain, words_of(said))) == "".join(plain(word) for text in texts for word in words_of(text))


@given(TEXT, st.lists(TEXT, min_size=1, max_size=5))
def test_what_is_shared_out_is_the_text(text: str, parts: list[str]) -> None:
    shares = shared_out(text, parts)
    assert len(shares) == len(parts)
    assert "".join(shares) == text.rstrip()


def test_each_part_gets_what_fits_it() -> None:
    shares = shared_out("in short, the period was so far", ["In short the", " period was so", " far."])
    assert shares == ["in short, the", " period was so", " far"]
    assert shared_out("ensure the period was", ["In short the", " period was"]) == ["ensure the", " period was"]
    assert shared_out("anything", []) == []
