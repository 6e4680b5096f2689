"""Which voice speaks a language."""

from __future__ import annotations

from open_speech.backends import ModelEntry, Task, Voice
from open_speech.synthesis.language_voices import LanguageVoice, voices_of


def model(*voices: Voice, languages: tuple[str, ...] = ("en", "de")) -> ModelEntry:
    return ModelEntry("mouth", "mouth", Task.TTS, "MIT", languages, voices=voices, default_voice="ann")


def test_the_default_voice_speaks_its_language_and_the_first_voice_any_other() -> None:
    entry = model(Voice("amy", "en-GB"), Voice("ann", "en-US"), Voice("eva", "de-DE"), Voice("uwe", "de"))
    assert voices_of(entry, "ann") == {"en": LanguageVoice("mouth", "ann"), "de": LanguageVoice("mouth", "eva")}


def test_a_voice_whose_packages_are_missing_speaks_nothing() -> None:
    entry = model(Voice("ann", "en-US"), Voice("jun", "ja-JP", needs="pip install x"))
    assert voices_of(entry, "ann").keys() == {"en"}


def test_a_voice_for_all_languages_is_told_which_one() -> None:
    assert voices_of(model(), "") == {"en": LanguageVoice("mouth", None, "en"), "de": LanguageVoice("mouth", None, "de")}
    assert voices_of(model(languages=()), "")["sv"] == LanguageVoice("mouth", None, "sv")
