"""The checks that a model's entry answers, over rows made here and every row of the catalog."""

from __future__ import annotations

from dataclasses import replace

import pytest

from open_speech.backends import BackendEntry, ModelEntry, SpeechOptions, Task, TranscribeOptions, Voice, VoiceReference
from open_speech.errors import InvalidRequest, NothingToSpeak, OutOfRange, UnknownVoice, UnsupportedLanguage, UnsupportedValue
from runners import catalog
from runners.host.request_checks import check_speech, check_transcription

SPEAKS = BackendEntry("mouth", Task.TTS, "x:X", (), "", "MIT", speed_range=(0.5, 2.0))
VOICES = (Voice("af_bella", "en-US"), Voice("af_sky", "en-US"), Voice("vctk", "en-GB", speakers=("p225", "p226")))
VOICE = ModelEntry("speaks", "mouth", Task.TTS, "MIT", ("en", "zh"), voices=VOICES, default_voice="af_bella")
BELLA = SpeechOptions("af_bella")
HEARS = BackendEntry("ear", Task.STT, "x:X", (), "", "MIT")
ENGLISH = ModelEntry("hears", "ear", Task.STT, "MIT", ("en",))
MANY = ModelEntry("hears-many", "ear", Task.STT, "MIT", ("en", "de", "zh", "no"), word_times=True, translates=True)
ROWS = [model for model in catalog.own_models() if model.task in (Task.STT, Task.TTS)]
BACKENDS = {entry.name: entry for entry in catalog.BACKENDS}


@pytest.mark.parametrize(
    "voice",
    ["af_bella", "AF_Bella", "af_bella(2)+af_sky(1)", "af_bella + af_sky(0.5)", "vctk#p225", "vctk#7", "p226"],
)
def test_a_voice_of_the_entry_is_accepted_in_any_form(voice: str) -> None:
    check_speech(SPEAKS, VOICE, "Hello.", SpeechOptions(voice))


@pytest.mark.parametrize("voice", ["", "nobody", "af_bella+nobody", "nobody#p225", "+", "af_bella(2", "x" * 500])
def test_any_other_voice_is_refused_with_the_nearest(voice: str) -> None:
    with pytest.raises(UnknownVoice, match=r"Nearest: \w+") as refused:
        check_speech(SPEAKS, VOICE, "Hello.", SpeechOptions(voice))
    assert refused.value.param == "voice"
    assert len(refused.value.message) < 250


def test_an_unknown_name_in_a_blend_is_named_with_the_nearest() -> None:
    with pytest.raises(UnknownVoice, match=r"af_bela.*af_bella"):
        check_speech(SPEAKS, VOICE, "Hello.", SpeechOptions("af_sky+af_bela"))


@pytest.mark.parametrize(
    "options", [replace(BELLA, voice="", design="an old man"), replace(BELLA, voice="", reference=VoiceReference(b"\0\0"))]
)
def test_a_designed_or_cloned_voice_needs_no_name(options: SpeechOptions) -> None:
    check_speech(SPEAKS, VOICE, "Hello.", options)


def test_a_model_without_a_list_of_voices_takes_any_name() -> None:
    check_speech(SPEAKS, replace(VOICE, voices=()), "Hello.", SpeechOptions("anybody"))


@pytest.mark.parametrize("language", [None, "en", "EN-us", "en_GB", "eng", "English", "cmn", "zh-Hans"])
def test_a_language_of_the_model_is_accepted_in_any_form(language: str | None) -> None:
    check_speech(SPEAKS, VOICE, "Hello.", replace(BELLA, language=language))


@pytest.mark.parametrize("language", ["de", "tlh", "Klingon", "-", "e" * 500])
def test_any_other_language_is_refused(language: str) -> None:
    with pytest.raises(UnsupportedLanguage, match="speaks en, zh, not") as refused:
        check_speech(SPEAKS, VOICE, "Hello.", replace(BELLA, language=language))
    assert refused.value.param == "language"
    assert len(refused.value.message) < 250


@pytest.mark.parametrize("speed", [0.5, 1.0, 2.0])
def test_both_ends_of_the_speed_range_are_accepted(speed: float) -> None:
    check_speech(SPEAKS, VOICE, "Hello.", replace(BELLA, speed=speed))


@pytest.mark.parametrize("speed", [0.49, 2.01, 0.0, -1.0, float("nan"), float("inf")])
def test_a_speed_beyond_the_range_is_refused(speed: float) -> None:
    with pytest.raises(OutOfRange, match=r"from 0\.5 to 2\.0") as refused:
        check_speech(SPEAKS, VOICE, "Hello.", replace(BELLA, speed=speed))
    assert refused.value.param == "speed"


def test_an_engine_with_one_speed_says_so() -> None:
    with pytest.raises(OutOfRange, match="does not support `speed`"):
        check_speech(replace(SPEAKS, speed_range=(1.0, 1.0)), VOICE, "Hello.", replace(BELLA, speed=1.5))


@pytest.mark.parametrize("text", ["", "   ", "\n\t", "😀🎉", "…", "!?", "—"])
def test_a_text_without_words_is_refused(text: str) -> None:
    with pytest.raises(NothingToSpeak) as refused:
        check_speech(SPEAKS, VOICE, text, BELLA)
    assert refused.value.param == "input"


@pytest.mark.parametrize(
    ("options", "error", "field"),
    [
        (TranscribeOptions(language="de"), UnsupportedLanguage, "language"),
        (TranscribeOptions(language="Klingon"), UnsupportedLanguage, "language"),
        (TranscribeOptions(languages=("de", "fr")), UnsupportedLanguage, "languages"),
        (TranscribeOptions(task="translate"), UnsupportedValue, "task"),
        (TranscribeOptions(word_times=True), UnsupportedValue, "timestamp_granularities"),
    ],
)
def test_what_a_recognizer_cannot_do_is_refused(options: TranscribeOptions, error: type[InvalidRequest], field: str) -> None:
    with pytest.raises(error) as refused:
        check_transcription(HEARS, ENGLISH, options)
    assert refused.value.param == field


def test_the_languages_of_a_recognizer_are_told_in_words() -> None:
    with pytest.raises(UnsupportedLanguage, match="supports English only, not `de`, `fr`"):
        check_transcription(HEARS, ENGLISH, TranscribeOptions(languages=("de", "fr")))


@pytest.mark.parametrize(
    "options",
    [
        TranscribeOptions(language="German"),
        TranscribeOptions(language="nb-NO"),
        TranscribeOptions(languages=("fr", "de")),
        TranscribeOptions(task="translate", language="de", word_times=True),
    ],
)
def test_what_a_recognizer_can_do_is_accepted(options: TranscribeOptions) -> None:
    check_transcription(HEARS, MANY, options)
    check_transcription(HEARS, replace(MANY, languages=()), replace(options, language="tlh"))


def test_an_upstream_server_decides_about_voices_and_languages() -> None:
    check_speech(replace(SPEAKS, prefix="up/"), VOICE, "Hello.", SpeechOptions("nobody", language="tlh"))
    check_transcription(replace(HEARS, prefix="up/"), ENGLISH, TranscribeOptions(language="tlh", word_times=True))
    with pytest.raises(UnsupportedValue):
        check_transcription(replace(HEARS, prefix="up/"), ENGLISH, TranscribeOptions(task="translate"))


@pytest.mark.parametrize("model", ROWS, ids=lambda model: model.id)
def test_every_row_of_the_catalog_accepts_its_own_and_refuses_the_rest(model: ModelEntry) -> None:
    backend = BACKENDS[model.backend]
    if model.task is Task.STT:
        for language in model.languages:
            check_transcription(backend, model, TranscribeOptions(language=language))
        with pytest.raises(UnsupportedLanguage):
            check_transcription(backend, model, TranscribeOptions(language="tlh"))
        return
    for voice in model.voices:
        check_speech(backend, model, "Hello.", SpeechOptions(voice.id, language=voice.language))
    with pytest.raises(UnsupportedLanguage):
        check_speech(backend, model, "Hello.", SpeechOptions(model.default_voice, language="tlh"))
    for speed in backend.speed_range:
        check_speech(backend, model, "Hello.", SpeechOptions(model.default_voice, speed=speed))
    with pytest.raises(OutOfRange):
        check_speech(backend, model, "Hello.", SpeechOptions(model.default_voice, speed=9.0))
