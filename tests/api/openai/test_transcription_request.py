from __future__ import annotations

from typing import Any

import pytest

from open_speech.api.openai.transcription_request import TranscriptionRequest, TranslationRequest
from open_speech.backends import WHISPER_TEMPERATURES, Vad
from open_speech.config import Settings
from open_speech.errors import InvalidValue, OutOfRange, UnsupportedLanguage, UnsupportedValue
from open_speech.http.errors import validated
from open_speech.recognition.denoise import Cleaning
from open_speech.recognition.subtitle_layout import Shape


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


@pytest.mark.parametrize(
    ("fields", "vad", "sequential"),
    [
        ({}, None, False),
        ({"vad_filter": "true"}, Vad(), False),
        ({"vad_filter": "false"}, None, True),
        ({"vad_filter": "false", "chunking_strategy": "auto"}, Vad(), False),
        ({"vad_filter": "null"}, None, False),
    ],
)
def test_only_a_filter_that_is_switched_off_takes_a_file_in_sequence(fields: dict[str, str], vad: Vad | None, sequential: bool) -> None:
    options = transcription(**fields).options()
    assert (options.vad, options.sequential) == (vad, sequential)


@pytest.mark.parametrize("fields", [{"vad_filter": "true"}, {"chunking_strategy": "auto"}])
def test_who_asks_for_speech_without_numbers_gets_the_servers_own(fields: dict[str, str]) -> None:
    usual = Settings(stt_vad_threshold=0.3, stt_vad_silence_ms=500).vad
    assert transcription(**fields).options(usual).vad == Vad(0.3, min_silence_ms=500)
    assert transcription(chunking_strategy={"type": "server_vad"}).options(usual).vad == Vad(0.5, min_silence_ms=200, pad_ms=300)


@pytest.mark.parametrize(
    ("value", "code"),
    [("en", "en"), ("EN", "en"), ("english", "en"), ("en-US", "en"), ("eng", "en"), ("auto", None), ("Auto", None), (None, None)],
)
def test_the_language_is_normalised(value: str | None, code: str | None) -> None:
    assert transcription(language=value).options().language == code


@pytest.mark.parametrize(
    ("fields", "language", "candidates"),
    [
        ({"languages": ["de"]}, "de", ()),
        ({"languages": '["German", "en-GB"]'}, None, ("de", "en")),
        ({"languages": "de,fr"}, None, ("de", "fr")),
        ({"languages": ["de", "fr"], "language": "en"}, "en", ()),
    ],
)
def test_one_candidate_language_is_the_language_and_several_bound_the_detection(
    fields: dict[str, Any], language: str | None, candidates: tuple[str, ...]
) -> None:
    options = transcription(**fields).options()
    assert (options.language, options.languages) == (language, candidates)


@pytest.mark.parametrize("field", ["language", "languages"])
def test_an_unknown_language_is_refused_by_name(field: str) -> None:
    with pytest.raises(UnsupportedLanguage) as raised:
        transcription(**{field: "klingonish"}).options()
    assert raised.value.param == field


def test_keywords_and_hotwords_become_hot_words() -> None:
    assert transcription(keywords=["Kubernetes", "BentoML"]).options().hotwords == "Kubernetes, BentoML"
    assert transcription(keywords=["BentoML"], hotwords="Kubernetes Helm").options().hotwords == "Kubernetes Helm, BentoML"
    assert transcription().options().hotwords is None


def test_the_model_reads_what_it_wrote_only_when_asked_to() -> None:
    assert transcription(condition_on_previous_text="true").options().condition_on_previous_text
    assert not transcription().options().condition_on_previous_text


def test_logprobs_are_paid_for_only_where_they_are_shown() -> None:
    assert transcription(include=["logprobs"]).options().logprobs
    assert transcription(include="logprobs").options().logprobs
    assert not transcription(include=["logprobs"], response_format="verbose_json").options().logprobs
    assert not transcription().options().logprobs


def test_languages_are_listed_for_the_model_and_the_field_that_brought_them() -> None:
    assert transcription(model="gpt-transcribe").wants_languages
    assert transcription(languages=["de"]).wants_languages
    assert not transcription().wants_languages


def test_whisper_1_never_streams_and_others_do() -> None:
    assert not transcription(stream=True).streams
    assert transcription(stream=True, model="gpt-4o-transcribe").streams
    assert not transcription(model="gpt-4o-transcribe").streams


@pytest.mark.parametrize("form", ["srt", "vtt", "verbose_json"])
def test_a_format_that_is_written_whole_cannot_be_streamed(form: str) -> None:
    with pytest.raises(UnsupportedValue) as raised:
        _ = transcription(stream=True, model="m", response_format=form).streams
    assert raised.value.param == "stream"


def test_speakers_are_told_apart_by_the_field_or_the_format() -> None:
    assert transcription(diarize="true", response_format="srt").diarizes
    assert transcription(response_format="diarized_json").diarizes
    assert not transcription(diarize="false").diarizes


def test_a_data_url_is_not_cut_at_its_comma() -> None:
    url = "data:audio/wav;base64,AAAA"
    assert transcription(known_speaker_references=url).known_speaker_references == (url,)
    assert transcription(known_speaker_references=f'["{url}", "{url}"]').known_speaker_references == (url, url)
    assert transcription(known_speaker_names="Ann, née Bee").known_speaker_names == ("Ann, née Bee",)


@pytest.mark.parametrize(
    ("fields", "shape"),
    [
        ({}, None),
        ({"max_line_width": "32"}, Shape(32, 2)),
        ({"max_line_count": "1"}, Shape(42, 1)),
        ({"max_line_width": 60, "max_line_count": 3}, Shape(60, 3)),
        ({"max_chars_per_second": "17"}, Shape(None, 2, reading_speed=17)),
        ({"min_gap_ms": "80"}, Shape(None, 2, gap=0.08)),
        ({"min_gap_ms": "0"}, Shape(None, 2)),
    ],
)
def test_the_shape_of_subtitles_is_what_the_fields_say(fields: dict[str, Any], shape: Shape | None) -> None:
    assert transcription(**fields).shape == shape


@pytest.mark.parametrize(
    ("fields", "cleaning"),
    [
        ({}, None),
        ({"noise_reduce": "true"}, Cleaning(noise_reduce=True, normalize=True)),
        ({"normalize": "false"}, Cleaning(noise_reduce=False, normalize=False)),
        ({"noise_reduce": "false", "normalize": "true"}, Cleaning(noise_reduce=False, normalize=True)),
    ],
)
def test_cleaning_that_is_not_mentioned_is_as_the_settings_say(fields: dict[str, str], cleaning: Cleaning | None) -> None:
    assert transcription(**fields).cleaning(Settings(stt_noise_reduce=False, stt_normalize=True)) == cleaning


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({"response_format": "xml"}, InvalidValue),
        ({"temperature": 1.5}, OutOfRange),
        ({"temperature": "warm"}, InvalidValue),
        ({"stream": "perhaps"}, InvalidValue),
        ({"diarize": "perhaps"}, InvalidValue),
        ({"include": ["everything"]}, InvalidValue),
        ({"timestamp_granularities": ["letter"]}, InvalidValue),
        ({"timestamp_granularities": "[word"}, InvalidValue),
        ({"chunking_strategy": "manual"}, InvalidValue),
        ({"chunking_strategy": {"type": "server_vad", "threshold": 3}}, OutOfRange),
        ({"known_speaker_names": ["a", "b", "c", "d", "e"]}, InvalidValue),
        ({"max_line_width": 1}, OutOfRange),
        ({"max_line_count": 9}, OutOfRange),
        ({"max_chars_per_second": 0}, OutOfRange),
        ({"min_gap_ms": -1}, OutOfRange),
        ({"max_speakers": 0}, OutOfRange),
    ],
)
def test_a_value_outside_its_domain_names_its_field(fields: dict[str, Any], kind: type[InvalidValue]) -> None:
    with pytest.raises(kind) as raised:
        transcription(**fields)
    assert raised.value.param == next(iter(fields))


def test_a_translation_has_no_speakers_and_no_stream() -> None:
    body = validated(TranslationRequest, {"model": "m", "vad_filter": "true", "diarize": "true", "stream": "true"})
    assert body.options().task == "translate"
    with pytest.raises(InvalidValue):
        validated(TranslationRequest, {"model": "m", "response_format": "diarized_json"})


@pytest.mark.parametrize("value", ["SRT", "Verbose_JSON", "Json"])
def test_formats_are_taken_in_any_case(value: str) -> None:
    assert transcription(response_format=value).response_format == value.lower()
    assert validated(TranslationRequest, {"model": "whisper-1", "response_format": value}).response_format == value.lower()
