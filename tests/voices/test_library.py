from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from open_speech.audio import Audio
from open_speech.codecs import decode
from open_speech.errors import InvalidValue, LibraryFull
from open_speech.voices import Library, NewVoice

AGREED = "I agree that my voice is used here."


@pytest.fixture
def library(tmp_path: Path) -> Library:
    return Library(tmp_path, limit=3)


def test_a_stored_voice_is_found_by_name_and_by_id(library: Library, murmur: Audio) -> None:
    voice = library.add(NewVoice("Anna", AGREED, "de-DE", "Guten Tag."), murmur)
    assert library.find("Anna") == library.find(voice.id) == voice
    assert library.find("Bob") is library.find("voice_" + "0" * 24) is None
    assert (voice.language, voice.transcript, voice.seconds) == ("de-DE", "Guten Tag.", 2.0)
    assert decode(library.recording(voice).read_bytes(), 24_000, max_seconds=60).seconds == 2.0


def test_a_restart_forgets_nothing(library: Library, murmur: Audio, tmp_path: Path) -> None:
    voice = library.add(NewVoice("Anna", AGREED), murmur)
    assert Library(tmp_path, limit=3).voices() == [voice]


def test_a_name_is_given_once_until_it_is_free_again(library: Library, murmur: Audio) -> None:
    voice = library.add(NewVoice("Anna", AGREED), murmur)
    with pytest.raises(InvalidValue) as refused:
        library.add(NewVoice("Anna", AGREED), murmur)
    assert refused.value.param == "name"
    assert library.remove(voice)
    assert library.add(NewVoice("Anna", AGREED), murmur).id != voice.id


def test_no_more_than_the_limit_is_kept_however_many_come_at_once(library: Library, murmur: Audio) -> None:
    def add(number: int) -> bool:
        try:
            library.add(NewVoice(f"voice {number}", AGREED), murmur)
        except LibraryFull:
            return False
        return True

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(add, range(6))) == 3
    assert len(library.voices()) == 3


@pytest.mark.parametrize("name", ["", "../x", "a/b", "a+b", "voice_1", "cons_1", "x" * 65])
def test_a_name_with_tricks_in_it_is_refused(library: Library, murmur: Audio, name: str) -> None:
    with pytest.raises(InvalidValue) as refused:
        library.add(NewVoice(name, AGREED), murmur)
    assert refused.value.param == "name"


@pytest.mark.parametrize("language", ["", "english", "e", "en/us", "../de"])
def test_what_is_no_language_is_refused(library: Library, murmur: Audio, language: str) -> None:
    with pytest.raises(InvalidValue) as refused:
        library.add_consent("Anna", language, murmur)
    assert refused.value.param == "language"


def test_a_voice_may_rest_on_a_stored_consent_which_then_stays(library: Library, murmur: Audio) -> None:
    consent = library.add_consent("Anna", "en", murmur)
    voice = library.add(NewVoice("Anna", consent.id), murmur)
    with pytest.raises(InvalidValue, match="Anna"):
        library.remove_consent(consent)
    assert library.remove(voice)
    assert library.remove_consent(consent)
    assert library.consents() == []


def test_a_consent_that_is_not_there_is_named(library: Library, murmur: Audio) -> None:
    with pytest.raises(InvalidValue) as refused:
        library.add(NewVoice("Anna", "cons_" + "0" * 24), murmur)
    assert refused.value.param == "consent"


def test_consents_have_a_limit_too_and_can_be_renamed(library: Library, murmur: Audio) -> None:
    first, *_ = [library.add_consent(name, "en", murmur) for name in ("one", "two", "three")]
    with pytest.raises(LibraryFull):
        library.add_consent("four", "en", murmur)
    renamed = library.rename_consent(first, "uno")
    assert library.consent(first.id) == renamed
    assert [consent.name for consent in library.consents()] == ["three", "two", "uno"]
