"""Languages by code and by name."""

import pytest

from open_speech.errors import UnsupportedLanguage
from open_speech.languages import (
    _OTHER_CODES,
    LANGUAGES,
    language_code,
    language_name,
    language_tag,
    requested_language,
    requested_languages,
)


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


@pytest.mark.parametrize(
    ("written", "code"),
    [
        ("eng", "en"), ("ENG", "en"), ("deu", "de"), ("ger", "de"), ("fra", "fr"), ("fre", "fr"), ("zho", "zh"), ("chi", "zh"),
        ("spa", "es"), ("por-BR", "pt"), ("nob", "no"), ("jav", "jw"), ("yue", "yue"), ("haw", "haw"),
    ],
)  # fmt: skip
def test_codes_of_three_letters_lead_to_whispers_own(written: str, code: str) -> None:
    assert language_code(written) == code


def test_every_code_of_three_letters_leads_to_a_language_that_whisper_knows() -> None:
    assert set(_OTHER_CODES.values()) <= set(LANGUAGES)
    two_letters = {code for code in LANGUAGES if len(code) == 2}
    assert two_letters <= {_OTHER_CODES[code] for code in _OTHER_CODES if len(code) == 3}


@pytest.mark.parametrize("written", [None, "", " ", "auto", "AUTO", "Auto ", "detect", "und"])
def test_auto_is_the_same_as_no_language(written: str | None) -> None:
    assert requested_language(written, "language") is None


def test_an_unknown_language_names_the_field() -> None:
    with pytest.raises(UnsupportedLanguage, match="`klingon`") as refused:
        requested_language("klingon", "language")
    assert refused.value.param == "language"
    with pytest.raises(UnsupportedLanguage) as refused:
        requested_languages(["en", "klingon"], "languages")
    assert refused.value.param == "languages"


def test_candidates_are_codes_without_repeats_and_auto_among_them_is_no_restriction() -> None:
    assert requested_languages(["German", "deu", "en-US", "fr"], "languages") == ("de", "en", "fr")
    assert requested_languages(["de", "auto"], "languages") == ()
    assert requested_languages([], "languages") == ()


@pytest.mark.parametrize(
    ("written", "tag"),
    [
        (None, None), ("auto", None), ("en", "en"), ("en-GB", "en-GB"), ("en_US", "en_US"), ("English", "en"), ("eng", "en"),
        ("eng-GB", "en-GB"), ("Portuguese", "pt"), ("pt-br", "pt-br"), ("eo", "eo"), ("klingon", "klingon"),
    ],
)  # fmt: skip
def test_the_language_to_speak_keeps_its_region(written: str | None, tag: str | None) -> None:
    assert language_tag(written) == tag
