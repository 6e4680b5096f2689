"""Two transcripts of one speech are the same text, whatever their marks."""

from __future__ import annotations

import pytest

from open_speech.dialogue.comparable_text import comparable


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("What is the time?", "what is the time"),
        ("Don't stop", "dont  stop."),
        ("It’s fine, really…", "it's fine really"),
        ("ﬁve ％ more", "five % more"),
        ("Straße", "STRASSE"),
        ("well-known", "well known"),
        ("  Hello,\n world! ", "hello world"),
        ("", " … "),
    ],
)
def test_case_marks_and_space_do_not_count(one: str, other: str) -> None:
    assert comparable(one) == comparable(other)


@pytest.mark.parametrize(("one", "other"), [("turn it on", "turn it off"), ("no", "no more"), ("warm", "worm"), ("5 %", "5 €")])
def test_words_and_signs_count(one: str, other: str) -> None:
    assert comparable(one) != comparable(other)
