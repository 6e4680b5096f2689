"""Languages by code and by name."""

import pytest

from open_speech.languages import LANGUAGES, language_code, language_name


@pytest.mark.parametrize("written", ["en", "EN", " en ", "en-US", "en_GB", "EN-us", "english", "English", "ENGLISH"])
def test_a_language_is_found_however_it_is_written(written: str) -> None:
    assert language_code(written) == "en"


@pytest.mark.parametrize(
    ("written", "code"),
    [
        ("jv", "jw"),
        ("jv-ID", "jw"),
        ("iw", "he"),
        ("nb-NO", "no"),
        ("Mandarin", "zh"),
        ("zh-Hant-TW", "zh"),
        ("Flemish", "nl"),
        ("fil", "tl"),
    ],
)
def test_other_codes_and_names_lead_to_whispers_own(written: str, code: str) -> None:
    assert language_code(written) == code


@pytest.mark.parametrize("written", ["", " ", "-", "xx", "klingon", "e", "english-but-not", "e\u0301n", "none"])
def test_what_is_no_language_is_none(written: str) -> None:
    assert language_code(written) is None


def test_every_language_is_found_by_its_code_and_by_its_name() -> None:
    assert len(LANGUAGES) == 100
    assert {language_code(code) for code in LANGUAGES} == set(LANGUAGES)
    assert [language_code(language_name(code)) for code in LANGUAGES] == list(LANGUAGES)


def test_an_unknown_code_is_its_own_name() -> None:
    assert (language_name("en"), language_name("tlh")) == ("english", "tlh")
