from __future__ import annotations

import math
from typing import cast

import pytest

from open_speech.transcript import Segment, Word
from runners.support.whisper_job import Tokens, moved, token_of, words_of


class Letters:
    """A tokenizer whose tokens are the letters of the alphabet."""

    def decode(self, tokens: list[int]) -> str:
        return "".join(chr(ord("a") + token) for token in tokens)


def test_word_times_do_not_run_backwards_or_out_of_the_window() -> None:
    raw = [
        {"word": " one", "start": 0.5, "end": 1.5, "probability": 0.9},
        {"word": " two", "start": 1.2, "end": 1.4, "probability": 0.8},
        {"word": " three", "start": 1.9, "end": 9.0, "probability": 0.7},
    ]
    assert [(word.start, word.end) for word in words_of(raw, 2.0)] == [(0.5, 1.5), (1.5, 1.5), (1.9, 2.0)]


def test_a_segment_moves_with_its_words() -> None:
    segment = moved(Segment(1.0, 2.0, " hi", words=(Word(" hi", 1.25, 1.75),)), 10.0)
    assert (segment.start, segment.end) == (11.0, 12.0)
    assert (segment.words[0].start, segment.words[0].end) == (11.25, 11.75)


@pytest.mark.parametrize(("probability", "logprob"), [(1.0, 0.0), (0.5, math.log(0.5)), (0.0, math.log(1e-10))])
def test_a_token_has_its_text_and_its_log_probability(probability: float, logprob: float) -> None:
    token = token_of(cast(Tokens, Letters()), 2, probability)
    assert (token.text, token.logprob) == ("c", pytest.approx(logprob))
