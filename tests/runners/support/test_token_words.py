"""Tokens with their times become words and sentences."""

from __future__ import annotations

import math

import pytest

from open_speech.transcript import Token
from runners.support.token_words import Spoken, sentences, spoken_words


def spell(*tokens: tuple[str, float], seconds: float = 10.0) -> list[Spoken]:
    """Words of `(text, start)` tokens, each with a probability of a half."""
    return spoken_words([Token(text, math.log(0.5)) for text, _ in tokens], [start for _, start in tokens], seconds)


def test_a_word_begins_where_a_token_begins_with_a_space() -> None:
    words = [spoken.word for spoken in spell((" go", 1.0), ("od", 1.16), (" day", 1.4), ("s", 1.6))]
    assert [word.text for word in words] == [" good", " days"]
    assert [(word.start, word.end) for word in words] == [(1.0, pytest.approx(1.4)), (1.4, pytest.approx(1.92))]
    assert words[0].probability == pytest.approx(0.5)


def test_a_first_token_without_a_space_is_a_word_too() -> None:
    assert [spoken.word.text for spoken in spell(("so", 0.0), (" it", 0.2))] == [" so", " it"]


def test_a_space_that_stands_alone_begins_the_word_that_follows() -> None:
    (one, two) = spell((" on", 0.0), (" ", 0.5), ("two", 0.6))
    assert [one.word.text, two.word.text] == [" on", " two"]
    assert two.word.start == 0.6


@pytest.mark.parametrize("mark", [".", " .", "?!", " …"])
def test_a_mark_belongs_to_the_word_before_it_and_does_not_make_it_longer(mark: str) -> None:
    (spoken,) = spell((" end", 1.0), (mark, 5.0))
    assert spoken.word.text == " end" + mark.strip()
    assert (spoken.word.start, spoken.word.end) == (1.0, pytest.approx(1.32))


def test_a_word_ends_with_the_audio_at_the_latest() -> None:
    (spoken,) = spell((" end", 0.96), seconds=1.0)
    assert spoken.word.end == 1.0
    (late,) = spell((" end", 1.04), seconds=1.0)
    assert (late.word.start, late.word.end) == (1.0, 1.0)


def test_times_never_fall() -> None:
    words = spell((".", 0.0), (" a", 0.0), ("b", 0.0), (" c", 0.08), (",", 0.08), (" d", 0.4))
    times = [time for spoken in words for time in (spoken.word.start, spoken.word.end)]
    assert times == sorted(times)


def test_no_tokens_are_no_words() -> None:
    assert spell() == []
    assert sentences([], word_times=True, logprobs=True) == ()


def test_a_segment_ends_with_its_sentence_or_before_a_pause() -> None:
    words = spell((" One", 0.0), (".", 0.1), (" Two", 0.4), (" three", 0.7), (" four", 3.0))
    segments = sentences(words, word_times=False, logprobs=False)
    assert [segment.text for segment in segments] == [" One.", " Two three", " four"]
    assert segments[1].start == 0.4
    assert segments[2].start == 3.0
    assert all(segment.words == () and segment.logprobs == () for segment in segments)
    assert segments[0].avg_logprob == pytest.approx(math.log(0.5))


def test_words_and_logprobs_go_along_when_they_are_asked_for() -> None:
    (segment,) = sentences(spell((" go", 0.0), ("od", 0.1)), word_times=True, logprobs=True)
    assert [word.text for word in segment.words] == [" good"]
    assert [token.text for token in segment.logprobs] == [" go", "od"]
