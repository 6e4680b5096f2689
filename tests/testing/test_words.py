from __future__ import annotations

import pytest

from open_speech.testing.words import word_errors, words


def test_words_have_no_case_and_no_punctuation() -> None:
    assert words("Ever tried, EVER failed? It's 7 — no_matter.") == ["ever", "tried", "ever", "failed", "it's", "7", "no", "matter"]


def test_the_same_words_are_no_error() -> None:
    assert word_errors("Ever tried. Ever failed.", "ever tried, ever failed") == 0
    assert word_errors("Ever tried. Ever failed.", "Ever cried. Ever failed.") == pytest.approx(0.25)
    assert word_errors("Ever tried.", "") == 1
