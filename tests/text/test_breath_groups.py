"""Where a first sentence without a comma is cut: before a group of words, never within one."""

from __future__ import annotations

import pytest

from open_speech.text.breath_groups import breath
from open_speech.text.chunking import TINY_CHARS, Chunker

LONGEST = 48


def first(text: str, language: str = "en-US", longest: int = LONGEST) -> str:
    place = breath(text, language, TINY_CHARS, longest)
    assert place == 0 or text[place - 1] == " "
    return text[:place].rstrip()


@pytest.mark.parametrize(
    ("text", "piece"),
    [
        ("The committee will publish its final report on the matter next Tuesday.", "The committee will publish its final report"),
        ("My sister bought a small wooden table from the market this morning.", "My sister bought a small wooden table"),
        ("The old lighthouse keeper told us stories about storms and sunken ships.", "The old lighthouse keeper told us stories"),
        ("Several people have asked me whether the museum opens on public holidays.", "Several people have asked me"),
        ("Please remember to turn off the kitchen lights before you leave tonight.", "Please remember to turn off the kitchen lights"),
        ("Elaborate constitutional arrangements will disappoint practically everyone.", "Elaborate constitutional arrangements"),
    ],
)
def test_a_sentence_is_cut_before_a_group_of_words(text: str, piece: str) -> None:
    assert first(text) == piece


@pytest.mark.parametrize(
    ("language", "text", "piece"),
    [
        ("de", "Der freundliche Bäcker verkauft seine Brote auf dem großen Marktplatz.", "Der freundliche Bäcker verkauft seine Brote"),
        ("es", "La profesora explicó la lección nueva con mucha paciencia esta mañana.", "La profesora explicó la lección nueva"),
        ("fr-fr", "Le vieux jardinier arrose les fleurs rouges pendant toute la matinée.", "Le vieux jardinier arrose les fleurs rouges"),
        ("it", "Il nostro vicino ripara biciclette antiche nella sua piccola officina.", "Il nostro vicino ripara biciclette antiche"),
        ("pt-br", "Os meninos jogavam futebol animados durante toda a tarde de domingo.", "Os meninos jogavam futebol animados"),
    ],
)
def test_other_languages_have_their_own_words(language: str, text: str, piece: str) -> None:
    assert first(text, language) == piece


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Too short for the cut.", "en"),
        ("Neither piece may be a tiny one and this.", "en"),
        ("The committee will publish its final report on the matter next Tuesday.", "ja"),
        ("The committee will publish its final report on the matter next Tuesday.", ""),
        ("Counterrevolutionary constitutionalists disappointed uncompromising traditionalists.", "en"),
        ("", "en"),
    ],
)
def test_without_a_good_place_there_is_no_cut(text: str, language: str) -> None:
    assert first(text, language) == ""


def cut(text: str, breath_chars: int, language: str = "en") -> list[str]:
    cutter = Chunker(first_chars=80, piece_chars=250, breath_chars=breath_chars)
    cutter.language = language
    return [*cutter.feed([text]), *cutter.flush()]


def test_only_the_first_sentence_is_cut_and_no_word_is_lost() -> None:
    text = "The committee will publish its final report on the matter next Tuesday. "
    text += "The committee will publish its final report on it next week."
    assert cut(text, LONGEST) == [
        "The committee will publish", "its final report on the matter next Tuesday.",
        "The committee will publish its final report on it next week.",
    ]  # fmt: skip
    assert cut(text, 0) == [text[:71], text[72:]]


def test_a_clause_goes_before_a_group_of_words_and_a_short_sentence_stays_whole() -> None:
    assert cut("When the rain finally stopped, we walked along the river to the old town.", LONGEST)[0] == "When the rain finally stopped,"
    assert cut("We walked along the river to the old town.", LONGEST) == ["We walked along the river to the old town."]
