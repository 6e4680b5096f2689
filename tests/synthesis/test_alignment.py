from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from open_speech.audio import Audio
from open_speech.synthesis.alignment import align, quiet_joint, words_of
from open_speech.transcript import Word


def heard(*words: tuple[str, float, float]) -> list[Word]:
    return [Word(f" {text}", start, end) for text, start, end in words]


def times(words: list[Word]) -> list[tuple[str, float, float]]:
    return [(word.text, round(word.start, 3), round(word.end, 3)) for word in words]


def test_words_that_were_heard_as_written_have_their_own_times() -> None:
    spoken = heard(("hello", 0.1, 0.4), ("there", 0.5, 0.8), ("world", 1.0, 1.5))
    assert times(align("Hello there, world!", spoken, 2.0)) == [("Hello", 0.1, 0.4), ("there,", 0.5, 0.8), ("world!", 1.0, 1.5)]


def test_a_word_that_is_spelled_otherwise_has_the_time_of_what_was_heard() -> None:
    spoken = heard(("the", 0.0, 0.2), ("color", 0.3, 0.7), ("gray", 0.8, 1.2))
    assert times(align("The colour grey", spoken, 1.2)) == [("The", 0.0, 0.2), ("colour", 0.3, 0.7), ("grey", 0.8, 1.2)]


def test_a_number_in_words_shares_the_time_of_its_digits() -> None:
    spoken = heard(("about", 0.0, 0.4), ("23", 0.5, 1.5), ("people", 1.6, 2.0))
    found = times(align("about twenty three people", spoken, 2.0))
    assert [word for word, _, _ in found] == ["about", "twenty", "three", "people"]
    assert found[0] == ("about", 0.0, 0.4)
    assert found[3] == ("people", 1.6, 2.0)
    assert found[1][1] >= 0.4
    assert found[2][2] <= 1.5
    assert found[1][2] > found[1][1]
    assert found[2][2] > found[2][1]


def test_digits_have_the_time_of_all_the_words_they_were_heard_as() -> None:
    spoken = heard(("in", 0.0, 0.2), ("nineteen", 0.3, 0.7), ("eighty", 0.7, 1.0), ("four", 1.0, 1.3), ("it", 1.4, 1.5))
    found = times(align("in 1984 it", spoken, 1.5))
    assert found[0] == ("in", 0.0, 0.2)
    assert found[2] == ("it", 1.4, 1.5)
    assert 0.2 <= found[1][1] < found[1][2] <= 1.4


def test_words_that_nobody_heard_share_the_time_of_the_word_before_them() -> None:
    spoken = heard(("one", 0.0, 0.9), ("four", 1.0, 1.4))
    assert times(align("one two six four", spoken, 1.4))[-1] == ("four", 1.0, 1.4)
    assert times(align("one two six four", spoken, 1.4))[:3] == [("one", 0.0, 0.3), ("two", 0.3, 0.6), ("six", 0.6, 0.9)]


def test_the_first_words_share_the_first_time_when_nobody_heard_them() -> None:
    assert times(align("so yes", heard(("yes", 0.5, 1.0)), 1.0)) == [("so", 0.5, 0.7), ("yes", 0.7, 1.0)]


def test_what_was_heard_beyond_the_text_changes_nothing() -> None:
    spoken = heard(("um", 0.0, 0.1), ("good", 0.2, 0.4), ("very", 0.5, 0.6), ("morning", 0.7, 1.0), ("thanks", 1.1, 1.3))
    assert times(align("good morning", spoken, 1.4)) == [("good", 0.2, 0.4), ("morning", 0.7, 1.0)]


def test_without_anything_heard_the_words_share_the_whole_time_by_length() -> None:
    assert times(align("a long", [], 1.0)) == [("a", 0.0, 0.2), ("long", 0.2, 1.0)]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Wait — what?", ["Wait —", "what?"]),
        ("it's half-done", ["it's", "half-done"]),
        ("「今日は」", ["「", "今", "日", "は」"]),
        ("日本。OK go", ["日", "本。", "OK", "go"]),
        ("  ", []),
    ],
)
def test_text_is_cut_into_words(text: str, words: list[str]) -> None:
    assert words_of(text) == words


def test_chinese_heard_as_one_word_is_cut_into_its_characters() -> None:
    assert times(align("你好吗", heard(("你好吗", 0.0, 0.9)), 1.0)) == [("你", 0.0, 0.3), ("好", 0.3, 0.6), ("吗", 0.6, 0.9)]


SMALL = st.text(alphabet="ab1 .", max_size=30)


@given(SMALL, SMALL, st.floats(0.1, 5.0))
def test_every_word_has_a_time_and_times_never_go_back(text: str, other: str, seconds: float) -> None:
    spoken = [Word(word, at * 0.3, at * 0.3 + 0.4) for at, word in enumerate(other.split())]
    found = align(text, spoken, seconds)
    assert [word.text for word in found] == words_of(text)
    assert all(0.0 <= word.start <= word.end <= seconds + 1e-9 for word in found)
    assert all(before.end <= after.start + 1e-9 for before, after in itertools.pairwise(found))


def loud_but(rate: int, seconds: float, *pauses: tuple[float, float]) -> Audio:
    samples = np.sin(np.arange(round(seconds * rate)) * 0.3).astype(np.float32)
    for start, end in pauses:
        samples[round(start * rate) : round(end * rate)] = 0
    return Audio(samples, rate)


def test_a_joint_is_moved_into_the_pause_beside_it() -> None:
    assert quiet_joint(loud_but(24_000, 3.0, (1.0, 1.2)), 1.35) == pytest.approx(1.1, abs=0.02)


def test_a_short_silence_within_a_word_is_not_the_joint() -> None:
    assert quiet_joint(loud_but(24_000, 3.0, (1.0, 1.2), (1.3, 1.36)), 1.35) == pytest.approx(1.1, abs=0.02)


@pytest.mark.parametrize("at_s", [0.0, 1.5, 3.0, 9.0])
def test_a_joint_stays_where_there_is_no_pause(at_s: float) -> None:
    assert quiet_joint(loud_but(24_000, 3.0), at_s) == min(at_s, 3.0)
