import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from open_speech.text.chunking import SLICE_CHARS, TINY_CHARS, Chunker, pieces
from open_speech.text.cleanup import says_something
from tests.growth import assert_costs_at_most, assert_linear

WRITTEN = st.text(st.characters(exclude_categories=["C"]), max_size=400)
PROSE = st.lists(
    st.sampled_from(
        ["Yes.", "No!", "Dr. Smith", "it was 1,000,000 dollars,", "at 3.14 p.m.", "(or so)", "said “hello.”", "well — not quite;", "why?",
         "*a* b", "今天天气很好，我们去公园吧！", "the long and winding road", "e.g. this", "\n\n", "😀", "https://example.org/a_very/long_path"]
    ),
    max_size=40,
).map(" ".join)  # fmt: skip


def letters(text: str) -> str:
    """What is left when only what sounds is kept: the same before and after cutting."""
    return "".join(char for char in text if unicodedata.category(char)[0] in "LN")


@pytest.mark.parametrize("mark", ["*", "_", "[", "`", "#", "~~a ", "*a ", "_a ", "[a](", "[a](b(", "- ", "\n \n", "*a*", '"', " (", "a. "])
def test_cutting_a_text_of_marks_takes_no_longer_than_any_other(mark: str) -> None:
    def cut(text: str) -> None:
        pieces(text, first_chars=80, piece_chars=400)

    assert_linear(cut, lambda chars: mark * (chars // len(mark)), SLICE_CHARS)
    marks, words = (part * (SLICE_CHARS // len(part)) for part in (mark, "word "))
    assert_costs_at_most(30, lambda: cut(marks), lambda: cut(words))


@pytest.mark.parametrize("text", ["", "   ", "😀🎉", "... !? —"])
def test_text_that_says_nothing_has_no_pieces(text: str) -> None:
    assert pieces(text, first_chars=80, piece_chars=400) == []


def test_each_sentence_is_a_piece() -> None:
    text = "The first sentence is here already. Here comes the second sentence! And is this the third one?"
    assert pieces(text, first_chars=80, piece_chars=400) == [
        "The first sentence is here already.", "Here comes the second sentence!", "And is this the third one?"
    ]  # fmt: skip


def test_a_long_first_sentence_is_cut_at_a_clause_so_that_sound_starts_early() -> None:
    text = "When in the course of human events it becomes necessary, for one people to dissolve the bands, which have connected them."
    assert pieces(text, first_chars=80, piece_chars=400)[0] == "When in the course of human events it becomes necessary,"


def test_pieces_may_grow_while_the_ones_before_are_heard() -> None:
    lengths = [len(piece) for piece in pieces("word word word, " * 100, first_chars=40, piece_chars=300)]
    assert lengths[0] <= 40 < lengths[1] <= 80 < lengths[2] <= 160 < lengths[3] <= 300
    assert max(lengths) <= 300


def test_tiny_sentences_are_joined_with_the_next() -> None:
    assert pieces("Yes. No. I would like some tea now.", first_chars=80, piece_chars=400) == ["Yes. No. I would like some tea now."]


def test_a_tiny_first_sentence_does_not_wait_for_a_long_one() -> None:
    long = "this sentence goes on and on without a single mark where one could take a breath until it ends"
    assert pieces(f"Indeed. Then {long}.", first_chars=60, piece_chars=400) == ["Indeed.", f"Then {long}."]


@pytest.mark.parametrize(
    "whole",
    [
        "I met Dr. Smith and Prof. Jones there.",
        "It began at 3.14 p.m. and cost 1,000,000.50 dollars.",
        "The U.S. Senate met e.g. on Monday.",
    ],
)
def test_abbreviations_and_numbers_are_not_sentence_ends(whole: str) -> None:
    assert pieces(whole, first_chars=400, piece_chars=400) == [whole]
    assert all(re.search(r"(Dr|Prof|p\.m|U\.S|e\.g|\d)\.$", piece) is None for piece in pieces(whole, first_chars=24, piece_chars=400)[:-1])


def test_chinese_is_cut_at_its_own_marks() -> None:
    text = "今天天气很好，我们一起去公园散步，看看花和树。" * 8
    found = pieces(text, first_chars=30, piece_chars=60)
    assert "".join(found).replace(" ", "") == text
    assert all(piece[-1] in "，。" for piece in found)


def test_lower_case_sentences_are_cut_too() -> None:
    found = pieces("i am at home now. " * 20, first_chars=60, piece_chars=100)
    assert len(found) > 3
    assert all(piece.endswith(".") for piece in found)


def test_a_run_without_a_space_is_cut_hard_and_never_before_an_accent() -> None:
    found = pieces("q\u0303" * 300, first_chars=50, piece_chars=101)
    assert all(len(piece) <= 101 and piece[0] == "q" for piece in found)
    assert "".join(found) == "q\u0303" * 300


@pytest.mark.parametrize(("first", "most"), [(0, 10), (-1, 10), (11, 10)])
def test_limits_that_make_no_sense_are_refused(first: int, most: int) -> None:
    with pytest.raises(ValueError, match="first_chars"):
        pieces("text", first_chars=first, piece_chars=most)


@given(WRITTEN | PROSE, st.integers(1, 60), st.integers(0, 200))
def test_no_character_that_sounds_is_lost_and_no_piece_is_too_long(text: str, first: int, more: int) -> None:
    found = pieces(text, first_chars=first, piece_chars=first + more)
    assert letters("".join(found)) == letters(text)
    assert all(piece == piece.strip() and says_something(piece) for piece in found)
    assert all(len(piece) <= first + more for piece in found)


@given(PROSE, st.integers(TINY_CHARS, 60))
def test_words_stay_whole(text: str, first: int) -> None:
    found = pieces(text, first_chars=first, piece_chars=200)
    assert " ".join(" ".join(found).split()) == " ".join(text.split()) or "今" in text or not says_something(text) or "😀" in text


def streamed(text: str, length: int, **limits: int) -> list[str]:
    cutter = Chunker(**limits)
    found = [piece for at in range(0, len(text), length) for piece in cutter.feed([text[at : at + length]])]
    return [*found, *cutter.flush()]


@given(PROSE.map(lambda text: " ".join(text.split())), st.integers(1, 30), st.integers(TINY_CHARS, 60))
def test_text_that_comes_in_fragments_loses_nothing(text: str, length: int, first: int) -> None:
    found = streamed(text, length, first_chars=first, piece_chars=100)
    assert letters("".join(found)) == letters(text)
    assert all(says_something(piece) and len(piece) <= 100 for piece in found)


def test_a_sentence_is_given_as_soon_as_the_next_one_begins() -> None:
    cutter = Chunker(first_chars=80, piece_chars=400)
    assert list(cutter.feed(["The first sentence is here already. "])) == []
    assert list(cutter.feed(["Here "])) == ["The first sentence is here already."]
    assert list(cutter.flush()) == ["Here"]


def test_a_long_sentence_is_begun_before_it_ends() -> None:
    cutter = Chunker(first_chars=40, piece_chars=400)
    given_ = list(cutter.feed(["When in the course of human events, it becomes necessary "]))
    assert given_ == ["When in the course of human events,"]


def test_a_new_line_ends_a_sentence_without_a_mark() -> None:
    cutter = Chunker(first_chars=80, piece_chars=400)
    assert list(cutter.feed(["A title of some length, and more", "then the text of it"])) == ["A title of some length, and more."]


def test_what_waits_can_be_seen() -> None:
    cutter = Chunker(first_chars=80, piece_chars=400)
    list(cutter.feed(["Prof. Ann goes from *"]))
    assert cutter.waiting == "Prof. Ann goes from *"
    list(cutter.flush())
    assert cutter.waiting == ""


def test_a_sentence_is_rewritten_before_its_length_counts() -> None:
    cutter = Chunker(first_chars=80, piece_chars=100, say=lambda text: text.replace("1", "one hundred and more "))
    found = [*cutter.feed(["1 1 1 1 1 1 1 1 1 1 1 1 1 1."]), *cutter.flush()]
    assert len(found) > 1
    assert all(len(piece) <= 100 for piece in found)


def test_a_hundred_thousand_characters_without_a_mark_are_cut_in_time() -> None:
    found = streamed("word " * 20_000, 4, first_chars=80, piece_chars=400)
    assert sum(len(piece.split()) for piece in found) == 20_000
    assert_linear(lambda text: streamed(text, 4, first_chars=80, piece_chars=400), lambda chars: "word " * (chars // 5), 5000)


def test_a_very_long_line_is_cut_without_loss_in_time_that_grows_with_its_length() -> None:
    line = "word, and another one; " * 20_000
    assert "".join("".join(piece.split()) for piece in pieces(line, first_chars=80, piece_chars=400)) == "".join(line.split())


@pytest.mark.parametrize("number", ["1 000 000", "10 – 20", "10 — 20", "12 500"])
@pytest.mark.parametrize("before", range(40, 62))
def test_a_number_is_not_cut_between_its_parts(number: str, before: int) -> None:
    text = f"{'word ' * (before // 5)}{'x' * (before % 5)} {number} people and more words behind it, so that a cut is needed somewhere"
    assert any(number in piece for piece in pieces(text, first_chars=60, piece_chars=60))
