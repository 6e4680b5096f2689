"""The tables of German, Spanish, French, Italian and Portuguese."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from open_speech.text.normalization.european import LANGUAGES
from open_speech.text.spoken_form import spoken
from tests.growth import assert_linear
from tests.text.normalization.tables import rows

ROWS = [(language, written, said) for language in LANGUAGES for _, written, said in rows(language)]
FEWEST_ROWS = 60


@pytest.mark.parametrize("language", LANGUAGES)
def test_each_language_has_a_table(language: str) -> None:
    assert len({written for tag, written, _ in ROWS if tag == language}) >= FEWEST_ROWS


@pytest.mark.parametrize(("language", "written", "said"), ROWS)
def test_a_written_form_is_said_as_it_is_meant(language: str, written: str, said: str) -> None:
    assert spoken(written, language) == said


@pytest.mark.parametrize(
    ("tag", "said"), [("de-AT", "fünf Euro"), ("fr_CA", "cinq euros"), ("es-419", "cinco euros"), ("pt-PT", "cinco euros")]
)
def test_a_region_has_the_rules_of_its_language(tag: str, said: str) -> None:
    assert spoken("5 €", tag) == said


@pytest.mark.parametrize("language", LANGUAGES)
@given(number=st.integers(0, 10**12))
def test_every_number_has_words_and_no_digits(language: str, number: int) -> None:
    words = LANGUAGES[language].cardinal(number, "m", False)
    assert words and not re.search(r"\d|  ", words)


@pytest.mark.parametrize("language", LANGUAGES)
@given(st.text(max_size=200))
def test_any_text_is_read_without_an_error(language: str, text: str) -> None:
    assert isinstance(spoken(text, language), str)


@pytest.mark.parametrize("language", ["de", "fr"])
@pytest.mark.parametrize("nasty", ["1", "1.", "1,", "1 ", "-1", "1-", "0 1", "+1 ", "1. ", "1 h ", "a@", "1 000 ", "€1", "1 + "])
def test_a_sentence_of_any_kind_is_read_in_linear_time(language: str, nasty: str) -> None:
    assert_linear(lambda text: spoken(text, language), lambda chars: (nasty * chars)[:chars], 3_000)
