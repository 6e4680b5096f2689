from __future__ import annotations

from typing import Any

import pytest

from open_speech.backends import WHISPER_TEMPERATURES, Vad
from open_speech.errors import InvalidValue, OutOfRange, UnsupportedLanguage
from open_speech.openai.errors import validated
from open_speech.openai.schemas import DurationUsage, SpeechRequest, TokenUsage, TranscriptionRequest, TranslationRequest
from open_speech.transcript import Segment, Transcript, TranscriptInfo


def transcription(**fields: Any) -> TranscriptionRequest:
    return validated(TranscriptionRequest, {"model": "whisper-1", **fields})


@pytest.mark.parametrize("value", [["word"], "word", '["word"]', ["word", "segment"], "word,segment", '["word", "segment"]'], ids=str)
def test_word_times_are_asked_for_in_every_spelling(value: object) -> None:
    assert transcription(timestamp_granularities=value, response_format="verbose_json").options().word_times


def test_word_times_are_not_paid_for_where_nobody_sees_them() -> None:
    assert not transcription(timestamp_granularities="word", response_format="srt").options().word_times


@pytest.mark.parametrize("value", ["true", "True", "1", True])
def test_booleans_are_true_in_every_spelling(value: object) -> None:
    assert transcription(stream=value).stream is True


@pytest.mark.parametrize("value", ["false", "False", "0", False, None, "null"])
def test_booleans_are_not_true_in_every_spelling(value: object) -> None:
    assert not transcription(stream=value).stream


@pytest.mark.parametrize(("value", "ladder"), [(0, WHISPER_TEMPERATURES), ("0.0", WHISPER_TEMPERATURES), ("0.4", (0.4,)), (1, (1.0,))])
def test_temperature_zero_climbs_the_ladder_and_another_is_kept(value: object, ladder: tuple[float, ...]) -> None:
    assert transcription(temperature=value).options().temperatures == ladder


@pytest.mark.parametrize(
    ("value", "vad"),
    [
        (None, None),
        ("auto", Vad()),
        ({"type": "server_vad", "threshold": "0.4"}, Vad(0.4, min_silence_ms=200, pad_ms=300)),
        ('{"type":"server_vad","silence_duration_ms":900}', Vad(0.5, min_silence_ms=900, pad_ms=300)),
    ],
)
def test_the_chunking_strategy_becomes_voice_activity_detection(value: object, vad: Vad | None) -> None:
    assert transcription(chunking_strategy=value).options().vad == vad


@pytest.mark.parametrize(("value", "code"), [("en", "en"), ("EN", "en"), ("english", "en"), ("en-US", "en"), (None, None), ("", None)])
def test_the_language_is_normalised(value: str | None, code: str | None) -> None:
    assert transcription(language=value).options().language == code


def test_one_candidate_language_is_the_language_and_several_are_none() -> None:
    assert transcription(languages=["de"]).options().language == "de"
    assert transcription(languages='["de", "en"]').options().language is None
    assert transcription(languages=["de"], language="en").options().language == "en"


@pytest.mark.parametrize("field", ["language", "languages"])
def test_an_unknown_language_is_refused_by_name(field: str) -> None:
    with pytest.raises(UnsupportedLanguage) as raised:
        transcription(**{field: "klingonish"}).options()
    assert raised.value.param == field


def test_keywords_become_hot_words() -> None:
    assert transcription(keywords=["Kubernetes", "BentoML"]).options().hotwords == "Kubernetes, BentoML"
    assert transcription().options().hotwords is None


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({"response_format": "xml"}, InvalidValue),
        ({"response_format": "diarized_json"}, InvalidValue),
        ({"temperature": 1.5}, OutOfRange),
        ({"temperature": "warm"}, InvalidValue),
        ({"stream": "perhaps"}, InvalidValue),
        ({"timestamp_granularities": ["letter"]}, InvalidValue),
        ({"timestamp_granularities": "[word"}, InvalidValue),
        ({"chunking_strategy": "manual"}, InvalidValue),
        ({"chunking_strategy": {"type": "server_vad", "threshold": 3}}, OutOfRange),
    ],
)
def test_a_value_outside_its_domain_names_its_field(fields: dict[str, Any], kind: type[InvalidValue]) -> None:
    with pytest.raises(kind) as raised:
        transcription(**fields)
    assert raised.value.param == next(iter(fields))


def test_unknown_fields_are_ignored() -> None:
    assert validated(TranslationRequest, {"model": "m", "vad_filter": "true"}).options().task == "translate"
    assert validated(SpeechRequest, {"model": "m", "input": "x", "lang_code": "a", "instructions": None}).voice_id is None


def test_a_voice_may_be_named_or_referred_to() -> None:
    assert validated(SpeechRequest, {"model": "m", "input": "x", "voice": "alloy"}).voice_id == "alloy"
    assert validated(SpeechRequest, {"model": "m", "input": "x", "voice": {"id": "voice_1"}}).voice_id == "voice_1"


def test_usage_is_rounded_up() -> None:
    transcript = Transcript(TranscriptInfo("en", 1.0, 2.01), (Segment(0, 2, " eight ch"),))
    assert DurationUsage.of(transcript).seconds == 3
    assert TokenUsage.heard(transcript) == TokenUsage(input_tokens=21, output_tokens=2, total_tokens=23)
    assert TokenUsage.spoken("hello", 0.5) == TokenUsage(input_tokens=2, output_tokens=10, total_tokens=12)
