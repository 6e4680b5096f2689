"""Text into clauses, while it arrives."""

from __future__ import annotations

import pytest

from open_speech.api.translations.clauses import LONGEST_CHARS, Clauses, length


def cut(text: str, step: int) -> list[str]:
    clauses = Clauses()
    done = [clause for at in range(0, len(text), step) for clause in clauses.feed(text[at : at + step])]
    return [*done, *clauses.flush()]


@pytest.mark.parametrize("step", [1, 7, 1000])
@pytest.mark.parametrize(
    ("text", "clauses"),
    [
        ("The train is late today. We wait on the platform.", ["The train is late today.", "We wait on the platform."]),
        ("Yes. No. I do not know what he said.", ["Yes. No. I do not know what he said."]),
        ("I met Mr. Smith at 3.30 in the U.S. embassy.", ["I met Mr. Smith at 3.30 in the U.S.", "embassy."]),
        (
            "When the train came into the station at half past nine, we all went home.",
            ["When the train came into the station at half past nine,", "we all went home."],
        ),
        ("Come in, sit down, be quiet.", ["Come in, sit down, be quiet."]),
        ("今日は天気がいいです。明日は雨が降ります。", ["今日は天気がいいです。", "明日は雨が降ります。"]),
        ("“Where are you going?” he asked.", ["“Where are you going?”", "he asked."]),
        (" … ", []),
    ],
)
def test_text_is_cut_into_clauses_however_it_arrives(text: str, clauses: list[str], step: int) -> None:
    assert cut(text, step) == clauses


@pytest.mark.parametrize("step", [1, 50, 1000])
def test_text_without_punctuation_is_cut_between_words(step: int) -> None:
    text = " ".join(["word"] * 100)
    clauses = cut(text, step)
    assert " ".join(clauses) == text
    assert len(clauses) > 2
    assert max(map(length, clauses)) <= LONGEST_CHARS


@pytest.mark.parametrize("step", [1, 50, 1000])
def test_text_without_spaces_is_cut_too(step: int) -> None:
    clauses = cut("天" * 200, step)
    assert "".join(clauses) == "天" * 200
    assert max(map(length, clauses)) <= LONGEST_CHARS + 3


def test_the_last_clause_is_there_only_at_the_end_of_the_utterance() -> None:
    clauses = Clauses()
    assert clauses.feed("The train is late today.") == []
    assert clauses.feed(" We") == ["The train is late today."]
    assert clauses.flush() == ["We"]
    assert clauses.flush() == []
