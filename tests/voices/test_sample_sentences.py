from __future__ import annotations

import pytest

from open_speech.voices import greeting
from runners import catalog


def test_a_voice_greets_in_its_own_language() -> None:
    assert greeting("de-DE") == greeting("de") == greeting("de_AT") != greeting("en-US")
    assert greeting("nb-NO") == greeting("no")


def test_a_voice_of_a_language_without_a_sentence_counts() -> None:
    assert greeting("sw") == "1, 2, 3, 4, 5."
    assert greeting(None) == greeting("en")


@pytest.mark.parametrize("model", [model for model in catalog.models() if model.voices], ids=lambda model: model.id)
def test_every_voice_of_the_catalog_has_a_sentence(model: catalog.ModelEntry) -> None:
    assert [voice.id for voice in model.voices if greeting(voice.language) == greeting("sw")] == []
