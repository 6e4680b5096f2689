import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from open_speech.text.cleanup import HELD_CHARS, Cleaner, ends_sentence, joined, says_something, speakable
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


@pytest.mark.parametrize(
    ("written", "spoken"),
    [
        ("", ""),
        (" \n\t ", ""),
        ("plain", "plain"),
        ("two  words\nin   lines", "two words in lines"),
        ("# Title\nText", "Title. Text"),
        ("## Done! ##\nText", "Done! Text"),
        ("- one\n* two\n+ three", "one. two. three"),
        ("- [x] done\n- [ ] to do", "done. to do"),
        ("1. first\n2) second", "1. first. 2) second"),
        ("A paragraph\n\nAnother", "A paragraph. Another"),
        ("> a quote\n> goes on", "a quote goes on"),
        ("*one* **two** ***three*** _four_ __five__", "one two three four five"),
        ("**bold with _italics_ inside**", "bold with italics inside"),
        ("snake_case_name and 2 * 3 * 4", "snake_case_name and 2 * 3 * 4"),
        ("[the text](https://example.org/a_(b) 'x')", "[the text](https://example.org/a_(b) 'x')"),
        ('see [the text](https://example.org/a_(b) "title") here', "see the text here"),
        ("![a cat](cat.png)", "a cat"),
        ("run `make test` now", "run make test now"),
        ("```python\nx = 1\n```", "x = 1"),
        ("before\n\n---\n\nafter", "before. after"),
        ("~~old~~ new", "old new"),
        ("well done 👍🏽 team 👩‍👩‍👧‍👦!", "well done team !"),
        ("🇬🇧 1️⃣ ❤️", "1"),
        ("bell\x07 and\u200b nothing\ufeff", "bell and nothing"),
        ("می\u200cخواهم", "می\u200cخواهم"),
        ("20 °C", "20 °C"),
        ("cafe\u0301", "café"),
        ("今天很好。", "今天很好。"),
    ],
)
def test_only_words_are_left_of_written_text(written: str, spoken: str) -> None:
    assert speakable(written) == spoken


@given(WRITTEN | PROSE)
def test_speakable_text_is_one_line_and_stays_as_it_is(text: str) -> None:
    once = speakable(text)
    assert once == " ".join(once.split())
    assert letters(speakable(once)) == letters(once)


@pytest.mark.parametrize("mark", ["*", "_", "[", "`", "#", "~~a ", "*a ", "_a ", "[a](", "[a](b(", "- ", "\n \n", "*a*", '"', " (", "a. "])
def test_a_text_of_marks_takes_no_longer_than_any_other(mark: str) -> None:
    assert_linear(speakable, lambda chars: mark * (chars // len(mark)), 10_000)
    marks, words = (part * (20_000 // len(part)) for part in (mark, "word "))
    assert_costs_at_most(6, lambda: speakable(marks), lambda: speakable(words))


@pytest.mark.parametrize("text", ["a", "７", "你", "€", "50 %", "1️⃣"])
def test_letters_numbers_and_signs_with_a_name_say_something(text: str) -> None:
    assert says_something(text)


@pytest.mark.parametrize("text", ["", " ", "…!?", "😀", "——", "()"])
def test_marks_and_emoji_say_nothing(text: str) -> None:
    assert not says_something(text)


@given(PROSE, st.lists(st.integers(1, 30), min_size=1))
def test_chopped_text_is_cleaned_as_the_whole_is(text: str, lengths: list[int]) -> None:
    cleaner, lines, at = Cleaner(), [""], 0
    while at < len(text):
        length = lengths[at % len(lengths)]
        lines = joined(lines, cleaner.feed(text[at : at + length]))
        at += length
    lines = joined(lines, cleaner.finish())
    assert letters("".join(lines)) == letters(text)


@pytest.mark.parametrize("length", [1, 2, 3, 5, 8, 1000])
def test_marks_that_arrive_in_halves_are_still_marks(length: int) -> None:
    text = "# A title\n\nSee **the bold words** and [a link](https://example.org/x) here.\n\n- [x] one thing\n- `code` it\n\nThe end"
    cleaner, lines = Cleaner(), [""]
    for at in range(0, len(text), length):
        lines = joined(lines, cleaner.feed(text[at : at + length]))
    lines = joined(lines, cleaner.finish())
    assert [line.strip() for line in lines if line.strip()] == [
        "A title", "See the bold words and a link here.", "one thing", "code it", "The end"
    ]  # fmt: skip


def test_a_word_is_there_when_the_next_one_begins() -> None:
    cleaner = Cleaner()
    assert cleaner.feed("It was a dark and ") == ["It was a dark "]
    assert cleaner.feed("stor") == ["and "]
    assert cleaner.feed("my night") == ["stormy "]


def test_bold_words_that_go_on_for_long_are_not_waited_for() -> None:
    cleaner = Cleaner()
    assert "".join(cleaner.feed("**never closed " + "and on " * 300)).startswith("never closed and on")


@pytest.mark.parametrize("text", ["", "  ", "Done.", "Done!” ", "A title\n\n", "好。"])
def test_a_new_sentence_may_begin_after_these(text: str) -> None:
    assert ends_sentence(text)


@pytest.mark.parametrize("text", ["going", "well,", "this: ", "a line\n"])
def test_the_sentence_goes_on_after_these(text: str) -> None:
    assert not ends_sentence(text)


@pytest.mark.parametrize("mark", ["\u200d", "\u200c", "\ufe0f", "\u0301", "a" + "\u0301" * 5000, "\u0301\u200d"])
def test_text_of_nothing_but_accents_is_not_held_back_until_its_end(mark: str) -> None:
    cleaner = Cleaner()
    longest = 0
    for _ in range(50):
        cleaner.feed(mark * (2000 // len(mark) or 1))
        longest = max(longest, len(cleaner.waiting))
    assert longest <= 2 * HELD_CHARS
