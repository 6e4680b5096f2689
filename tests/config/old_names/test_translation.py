from __future__ import annotations

import pytest

from open_speech import config
from open_speech.config.old_names import AT_START, BY_NAME, System, outcome, rows_for, systems_of, translate

KNOWN = config.names()


def test_a_name_takes_its_value_and_the_old_name_goes() -> None:
    translation = translate({"STT_PORT": "9000", "PATH": "/bin"}, KNOWN)
    assert translation.environ == {"OS_PORT": "9000", "PATH": "/bin"}
    assert translation.messages == ("STT_PORT is now called OS_PORT",)


def test_the_current_name_wins_and_the_line_says_so() -> None:
    translation = translate({"STT_PORT": "1", "OS_PORT": "2"}, KNOWN)
    assert translation.environ == {"OS_PORT": "2"}
    assert translation.messages == ("STT_PORT is now called OS_PORT, which is set too: STT_PORT is ignored.",)


def test_of_two_old_names_the_first_of_the_table_counts() -> None:
    translation = translate({"API_KEYS": "a", "STT_API_KEY": "b"}, KNOWN)
    assert translation.environ == {"OS_API_KEY": "b"}
    assert "API_KEYS is now called OS_API_KEY, which STT_API_KEY sets: API_KEYS is ignored." in translation.messages


def test_a_second_translation_changes_nothing_more() -> None:
    environ = {"ASR_MODEL": "base", "CORS_ORIGINS": "http://a", "TTS_MAX_CHARS": "180", "STT_PORT": "1"}
    once = translate(environ, KNOWN)
    again = translate(once.environ, KNOWN)
    assert (again.environ, again.messages) == (once.environ, ())


def test_secrets_are_in_the_result_and_in_no_line() -> None:
    environ = {
        "STT_API_KEY": "s3cret-1", "STT_OPENAI_KEY": "s3cret-2", "TTS_OPENAI_KEY": "s3cret-3", "OPENAI_API_KEY": "s3cret-4",
        "ENABLE_FASTER_WHISPER": "false", "LIVEKIT_API_SECRET": "s3cret-5", "STT_OPENAI_URL": "http://user:s3cret-6@box/v1",
    }  # fmt: skip
    translation = translate(environ, KNOWN, config.secrets())
    assert translation.environ["STT_UPSTREAM_API_KEY"] == "s3cret-2"
    assert len(translation.messages) == len(environ) - 1  # LIVEKIT_API_SECRET has the same name here
    assert "s3cret" not in " ".join(translation.messages)


def test_wyoming_openai_becomes_the_upstream_backends() -> None:
    environ = {
        "WYOMING_URI": "tcp://0.0.0.0:10300", "WYOMING_LANGUAGES": "en de", "STT_OPENAI_URL": "http://s/v1", "STT_OPENAI_KEY": "k",
        "STT_MODELS": "whisper-1", "STT_STREAMING_MODELS": "gpt-4o-transcribe", "TTS_OPENAI_URL": "http://t/v1", "TTS_MODELS": "tts-1",
        "TTS_VOICES": "alloy echo",
    }  # fmt: skip
    assert translate(environ, KNOWN).environ == {
        "OS_WYOMING_URI": "tcp://0.0.0.0:10300",
        "OS_WYOMING_ENABLED": "true",
        "OS_WYOMING_LANGUAGES": "en,de",
        "STT_BACKENDS": "upstream",
        "STT_UPSTREAM_URL": "http://s/v1",
        "STT_UPSTREAM_API_KEY": "k",
        "STT_UPSTREAM_MODELS": "gpt-4o-transcribe,whisper-1",
        "STT_UPSTREAM_STREAMING_MODELS": "gpt-4o-transcribe",
        "STT_MODEL": "upstream/gpt-4o-transcribe",
        "TTS_BACKENDS": "upstream-tts",
        "TTS_UPSTREAM_URL": "http://t/v1",
        "TTS_UPSTREAM_MODELS": "tts-1",
        "TTS_UPSTREAM_VOICES": "alloy,echo",
        "TTS_MODEL": "upstream/tts-1",
    } | {name: environ[name] for name in ("WYOMING_URI", "WYOMING_LANGUAGES")}


def test_what_follows_from_an_old_name_gives_way_to_a_chosen_backend() -> None:
    environ = {"STT_OPENAI_URL": "http://s/v1", "STT_MODELS": "whisper-1", "STT_BACKENDS": "vosk"}
    translation = translate(environ, KNOWN)
    assert translation.environ["STT_BACKENDS"] == "vosk"
    assert "STT_MODEL" not in translation.environ


def test_values_of_other_servers_under_a_current_name() -> None:
    translation = translate({"OPENAUDIO_DEFAULT_FORMAT": "mp3", "TTS_MODEL": "tts_models/multilingual/multi-dataset/xtts_v2"}, KNOWN)
    assert translation.environ == {"OPENAUDIO_DEFAULT_FORMAT": "wav", "TTS_DEFAULT_FORMAT": "mp3"}
    assert [line.split(" ")[0].partition("=")[0] for line in translation.messages] == ["TTS_MODEL", "OPENAUDIO_DEFAULT_FORMAT"]
    kept = {"TTS_MODEL": "tts_models/multilingual/multi-dataset/xtts_v2", "TTS_BACKENDS": "xtts"}
    assert translate(kept, KNOWN).environ == kept


def test_gemmavoice_speaks_through_its_fish_speech_server() -> None:
    environ = {"ENABLE_FASTER_WHISPER": "true", "OPENAUDIO_API_BASE": "http://fish:8080"}
    assert translate(environ, KNOWN).environ["TTS_BACKENDS"] == "fish"
    assert translate({"OPENAUDIO_API_BASE": "http://fish:8080"}, KNOWN).environ == {"OPENAUDIO_API_BASE": "http://fish:8080"}
    chosen = translate({**environ, "TTS_BACKENDS": "kokoro"}, KNOWN).environ
    assert (chosen["TTS_BACKENDS"], "TTS_MODEL" in chosen) == ("kokoro", False)


@pytest.mark.parametrize(
    ("environ", "systems"),
    [
        ("STT_PORT", {System.OPEN_SPEECH}),
        ("ASR_MODEL", {System.VOICE_STACK}),
        ("ASR_MODEL ASR_VAD_ENABLED", {System.VOICE_STACK}),
        ("ASR_MODEL ASR_QUANTIZATION", {System.WHISPER_ASR}),
        ("WHISPER__TTL STT_OPENAI_URL", {System.SPEACHES, System.WYOMING_OPENAI}),
        ("CORS_ORIGINS LOG_LEVEL API_KEY PORT", set()),
    ],
)
def test_a_system_is_known_by_the_names_that_only_it_has(environ: str, systems: set[System]) -> None:
    assert systems_of(environ.split()) == systems


def test_shared_names_are_read_beside_others_of_their_system_or_if_the_system_is_given() -> None:
    environ = {"PORT": "8880", "DEFAULT_VOICE": "af_sky"}
    chosen = {System.KOKORO_FASTAPI}
    assert [row.name for row in rows_for(environ, KNOWN, chosen)] == ["PORT", "DEFAULT_VOICE"]
    assert rows_for({"PORT": "8880"}, KNOWN, chosen) == []
    assert [row.name for row in rows_for({"PORT": "8880"}, KNOWN, chosen, certain=True)] == ["PORT"]
    assert rows_for(environ, KNOWN, AT_START) == []


@pytest.mark.parametrize(
    ("name", "value", "more", "expected"),
    [
        ("ASR_MODEL", "large", {}, "Systran/faster-whisper-large-v3"),
        ("ASR_MODEL", "turbo", {}, "deepdml/faster-whisper-large-v3-turbo-ct2"),
        ("ASR_MODEL", "small.en", {}, "Systran/faster-whisper-small.en"),
        ("ASR_MODEL", "distil-large-v3", {}, "Systran/faster-distil-whisper-large-v3"),
        ("ASR_MODEL", "acme/whisper", {}, "acme/whisper"),
        ("ASR_MODEL", "large", {"ASR_ENGINE": "openai_whisper"}, "openai-whisper/large-v3"),
        ("ASR_MODEL", "base", {"ASR_ENGINE": "whisper"}, "openai-whisper/base"),
        ("CORS_ORIGINS", '["http://a", "http://b"]', {}, "http://a,http://b"),
        ("CORS_ORIGINS", "http://a , http://b", {}, "http://a,http://b"),
        ("CORS_ORIGINS", "[", {}, None),
        ("WHISPER__TTL", "-1", {}, "0"),
        ("WHISPER__TTL", "0", {}, "1"),
        ("STT_MODEL_TTL", "-1", {}, "0"),
        ("USE_GPU", "true", {}, "cuda"),
        ("LOG_LEVEL", "CRITICAL", {}, "error"),
        ("LOG_LEVEL", "loud", {}, None),
        ("RATE_LIMIT_REQUESTS", "x", {"RATE_LIMIT_ENABLED": "true"}, None),
        ("RATE_LIMIT_REQUESTS", "1", {"RATE_LIMIT_ENABLED": "true", "RATE_LIMIT_WINDOW_SECONDS": "3600"}, "1"),
        ("RATE_LIMIT_REQUESTS", "1", {"RATE_LIMIT_ENABLED": "true", "RATE_LIMIT_WINDOW_SECONDS": "0"}, None),
        ("RATE_LIMIT_BURST_MULTIPLIER", "inf", {"RATE_LIMIT_ENABLED": "true"}, None),
    ],
)
def test_a_value_is_converted(name: str, value: str, more: dict[str, str], expected: str | None) -> None:
    row = BY_NAME[name]
    assert outcome(row, {name: value, **more}).settings == ({} if expected is None else {row.setting: expected})


def test_levels_of_other_programs_are_ignored_without_a_line() -> None:
    assert config.load({"LOG_LEVEL": "INFO"}).os_log_level == "info"
    assert config.load({"LOG_LEVEL": "DEBUG"}).os_log_level == "debug"
    assert config.load({"LOG_LEVEL": "3"}) == config.Settings()
    assert config.load({"LOG_LEVEL": "DEBUG", "OS_LOG_LEVEL": "error"}).os_log_level == "error"
