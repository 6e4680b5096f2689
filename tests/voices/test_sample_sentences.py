from __future__ import annotations

from open_speech.voices import greeting
from runners import catalog


def test_a_voice_greets_in_its_own_language() -> None:
    assert greeting("de-DE") == greeting("de") == greeting("de_AT") != greeting("en-US")
    assert greeting("nb-NO") == greeting("no")


def test_a_voice_of_a_language_without_a_sentence_counts() -> None:
    assert greeting("sw") == "1, 2, 3, 4, 5."
    assert greeting(None) == greeting("en")


COUNTED = {"bn", "eu", "hy", "ka", "kk", "ku", "ml", "mr", "ne", "sw", "te", "th", "ur"}
"""Languages of voices in Piper's list that have no sentence."""


def test_every_language_of_the_catalog_has_a_sentence_or_counts() -> None:
    languages = {voice.language.partition("-")[0] for model in catalog.own_models() for voice in model.voices}
    assert {language for language in languages if greeting(language) == greeting("sw")} == COUNTED
