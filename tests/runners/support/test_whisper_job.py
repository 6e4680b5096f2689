from __future__ import annotations

import math
from typing import cast

import numpy as np
import pytest

from open_speech.backends import STT_RATE, TranscribeOptions
from open_speech.transcript import Segment, Word
from runners.support.whisper_job import BRIEF_S, Job, Tokens, moved, token_of, words_of


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


def job(seconds: float, *spoken_s: float, draft: bool = False) -> Job:
    samples = np.zeros(round(seconds * STT_RATE), np.float32)
    speech = tuple((float(at), at + length) for at, length in enumerate(spoken_s))
    return Job(0, samples, TranscribeOptions(draft=draft), "en", np.zeros((80, 10), np.float32), None, None, speech=speech)


@pytest.mark.parametrize(
    ("window", "brief"),
    [
        (job(5.0, 0.6, 0.9), True),
        (job(5.0, 0.9, 0.8, 0.5), False),
        (job(BRIEF_S - 0.1), True),
        (job(BRIEF_S), False),
        (job(5.0, 0.6, draft=True), False),
    ],
)
def test_a_window_is_brief_by_its_speech_and_without_a_detector_by_its_length(window: Job, brief: bool) -> None:  # noqa: FBT001
    assert window.is_brief is brief
    assert window.group != job(20.0, 0.9, 0.9, 0.9).group or not brief
