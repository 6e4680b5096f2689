from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

import pytest

from open_speech import config
from open_speech.backends import TranscribeOptions
from open_speech.cli._wyoming_openai import ServerOptions, Side, joined

Run = Callable[..., Any]


def test_words_after_an_option_that_takes_several_belong_to_it() -> None:
    line = "--uri tcp://x:1 --languages en de --tts-voices alloy echo fable --tts-backend OPENAI --stt-models whisper-1"
    assert joined(line.split()) == [
        "--uri", "tcp://x:1", "--languages", "en de", "--tts-voices", "alloy echo fable", "--tts-backend", "OPENAI",
        "--stt-models", "whisper-1",
    ]  # fmt: skip
    assert joined(["--languages=en", "de"]) == ["--languages=en", "de"]
    assert joined(["--languages", "--local"]) == ["--languages", "--local"]
    assert joined([]) == []


def test_everything_that_wyoming_openai_takes_is_said_in_our_settings() -> None:
    options = ServerOptions(
        Side("http://stt:1/v1", "secret", ("whisper-1",), ("gpt-4o-transcribe",), "SPEACHES"),
        Side("http://tts:2/v1", "hidden", ("tts-1", "tts-1-hd"), (), "KOKORO_FASTAPI", ("alloy", "echo")),
        languages=("en", "de"),
    )
    assert options.settings({"PATH": "/bin", "STT_OPENAI_KEY": "secret", "OS_OFFLINE": "1"}) == {
        "PATH": "/bin",
        "OS_OFFLINE": "1",
        "STT_BACKENDS": "upstream",
        "TTS_BACKENDS": "upstream-tts",
        "STT_UPSTREAM_URL": "http://stt:1/v1",
        "STT_UPSTREAM_API_KEY": "secret",
        "STT_UPSTREAM_MODELS": "gpt-4o-transcribe,whisper-1",
        "STT_UPSTREAM_STREAMING_MODELS": "gpt-4o-transcribe",
        "STT_UPSTREAM_DIALECT": "speaches",
        "TTS_UPSTREAM_URL": "http://tts:2/v1",
        "TTS_UPSTREAM_API_KEY": "hidden",
        "TTS_UPSTREAM_MODELS": "tts-1,tts-1-hd",
        "TTS_UPSTREAM_VOICES": "alloy,echo",
        "TTS_UPSTREAM_DIALECT": "kokoro-fastapi",
        "OS_WYOMING_LANGUAGES": "en,de",
    }


def test_our_settings_take_all_of_that() -> None:
    options = ServerOptions(
        Side("http://stt:1/v1", "k", ("a",), ("b",), "LOCALAI"), Side("http://tts:2/v1", "k", ("c",), (), "OPENAI", ("v",))
    )
    settings = config.load(options.settings({"TTS_SPEED": "1.5"}))
    assert settings.stt_upstream_models == ("b", "a")
    assert settings.tts_upstream_voices == ("v",)
    assert settings.tts_speed == 1.5


@pytest.mark.parametrize(
    ("options", "backends"),
    [
        (ServerOptions(), ("upstream", "upstream-tts")),
        (ServerOptions(upstream="http://x/v1"), ("upstream", "upstream-tts")),
        (ServerOptions(stt=Side(url="http://x/v1")), ("upstream", "")),
        (ServerOptions(tts=Side(models=("tts-1",))), ("", "upstream-tts")),
        (ServerOptions(upstream="http://x/v1", tts=Side(models=("tts-1",))), ("upstream", "upstream-tts")),
    ],
)
def test_who_names_a_server_for_one_task_gets_that_task(options: ServerOptions, backends: tuple[str, str]) -> None:
    said = options.settings({})
    assert (said["STT_BACKENDS"], said["TTS_BACKENDS"]) == backends


def test_one_server_may_do_both_and_another_one_of_them() -> None:
    said = ServerOptions(upstream="http://both/v1", tts=Side(url="http://tts/v1")).settings({})
    assert (said["STT_UPSTREAM_URL"], said["TTS_UPSTREAM_URL"]) == ("http://both/v1", "http://tts/v1")


def test_alone_it_is_what_the_settings_say() -> None:
    assert ServerOptions(local=True, languages=("en",)).settings({"STT_BACKENDS": "vosk"}) == {
        "STT_BACKENDS": "vosk",
        "OS_WYOMING_LANGUAGES": "en",
    }


def test_how_to_transcribe_is_passed_on() -> None:
    assert ServerOptions(temperature=0.3, prompt="Poems.").options() == TranscribeOptions(temperatures=(0.3,), prompt="Poems.")
    assert ServerOptions(prompt="").options() == TranscribeOptions()


def test_a_taken_port_is_one_clear_line(run: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        result = run("wyoming", "--local", "--uri", f"tcp://127.0.0.1:{port}", "--log-level", "error")
    assert result.exit_code == 1
    assert result.stderr.startswith(f"Error: Cannot listen on tcp://127.0.0.1:{port}: ")


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--uri", "http://x"], "tcp://host:port"),
        (["--local", "--stt-models", "whisper-1"], "--local"),
        (["--stt-backend", "MYSELF"], "--stt-backend"),
        (["--tts-speed", "9"], "--tts-speed"),
        (["--upstream", "nowhere"], "STT_UPSTREAM_URL"),
        (["--local", "en"], "en"),
    ],
)
def test_wrong_use_is_named(run: Run, arguments: list[str], named: str) -> None:
    result = run("wyoming", *arguments)
    assert result.exit_code == 2
    assert named in result.stderr


def test_the_environment_of_wyoming_openai_is_taken(run: Run) -> None:
    theirs = {"WYOMING_URI": "stdio://", "STT_OPENAI_URL": "ftp://x", "STT_MODELS": "whisper-1", "TTS_VOICES": "alloy echo"}
    result = run("wyoming", **theirs)
    assert result.exit_code == 2
    assert "STT_UPSTREAM_URL" in result.stderr
    assert "Unknown setting" not in result.stderr


def test_models_of_openais_realtime_api_are_named_as_unused(run: Run) -> None:
    result = run("wyoming", "--uri", "http://x", "--stt-realtime-models", "a", "b", TTS_REALTIME_MODELS="gpt-realtime")
    notes = [line for line in result.stderr.splitlines() if "ignored" in line]
    assert notes == [
        "STT_REALTIME_MODELS is ignored (a, b): name models for REST calls in STT_MODELS or STT_STREAMING_MODELS.",
        "TTS_REALTIME_MODELS is ignored (gpt-realtime): name models for REST calls in TTS_MODELS.",
    ]
