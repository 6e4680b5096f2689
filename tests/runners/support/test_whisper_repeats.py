from __future__ import annotations

import pytest

from runners.support.whisper_repeats import agree, miscounted, repetitions, times_written, words_of

SENTENCE = "The library closes in ten minutes. "


def said(count: int, *, seconds: float = 2.0, gap_s: float = 0.8) -> list[tuple[float, float]]:
    """Stretches of speech of `seconds` each."""
    return [(number * (seconds + gap_s), number * (seconds + gap_s) + seconds) for number in range(count)]


@pytest.mark.parametrize(("words", "times"), [("a b", 1), ("a b a b a b", 3), ("a a", 2), ("a b a", 1), ("", 1), ("a b c a b d", 1)])
def test_how_often_a_text_says_the_same(words: str, times: int) -> None:
    assert times_written(words.split()) == times


def test_stretches_of_one_length_are_parts_that_meet_in_the_silences() -> None:
    assert repetitions(said(3), 8.0) == [(0.0, pytest.approx(2.4)), (pytest.approx(2.4), pytest.approx(5.2)), (pytest.approx(5.2), 8.0)]
    assert repetitions([(0, 2.0), (2.8, 4.9), (5.6, 9.0)], 9.0) == []
    assert repetitions([(0, 5.0)], 5.0) == []
    assert repetitions([], 5.0) == []


def test_a_silence_inside_the_sentence_divides_nothing() -> None:
    speech = [(0, 1.0), (1.2, 3.0), (3.9, 4.9), (5.1, 6.9), (7.8, 10.8)]
    assert [round(start, 1) for start, _ in repetitions(speech, 11.0)] == [0.0, 3.5, 7.3]


@pytest.mark.parametrize(
    ("written", "stretches", "wrong"), [(2, 4, True), (4, 4, False), (5, 4, True), (1, 3, True), (1, 1, False), (2, 1, False)]
)
def test_a_text_is_miscounted_if_the_speech_has_another_number_of_stretches(written: int, stretches: int, wrong: bool) -> None:
    assert bool(miscounted(SENTENCE * written, said(stretches), 20.0)) is wrong


def test_an_ordinary_text_with_stretches_of_one_length_is_left_alone() -> None:
    text = "We walked along the river until it was dark, and then we took the last bus home."
    assert miscounted(text, said(2), 4.8) == []
    assert miscounted("", said(2), 4.8) == []


@pytest.mark.parametrize(
    ("texts", "alike"),
    [
        ([" Hold the line.", " hold the line", " Hold the line!"], True),
        ([" Hold the line.", " Hold the line.", " Old the line."], True),
        ([" Hold the line.", " Please wait here.", " Thank you."], False),
        ([" Hold the line.", " Hold the line.", ""], False),
        (["", ""], False),
    ],
)
def test_parts_replace_a_window_if_most_of_them_say_the_same(texts: list[str], alike: bool) -> None:
    assert agree(texts) is alike


def test_words_are_compared_without_marks_and_case() -> None:
    assert words_of("It's HERE, isn't it?") == ["it's", "here", "isn't", "it"]
