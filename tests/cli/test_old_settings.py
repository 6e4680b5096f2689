"""The settings of the servers that this one replaces, pasted as they are: the server starts with them."""

from __future__ import annotations

import warnings

import pytest

from open_speech import config
from open_speech.cli import _migrate_env as env
from open_speech.cli import _weights as weights
from open_speech.cli.serve import require_backends
from open_speech.config import Settings
from runners.catalog.placement import plan
from runners.wiring import factories as parts
from runners.wiring import wyoming_gateway as wyoming
from tests.settings_of_others import BLOCKS


def loaded(block: str) -> tuple[Settings, list[str]]:
    """Load a block of variables as a shell or compose would pass it on."""
    environ = {variable.name: variable.value or "" for variable in env.read(block) if variable.name}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        settings = config.load(environ)
    return settings, [str(warning.message) for warning in caught]


@pytest.mark.parametrize("name", BLOCKS)
def test_the_settings_pass_every_check_of_the_start(name: str) -> None:
    settings, _ = loaded(BLOCKS[name])
    require_backends(settings)
    placements = plan(settings)
    registry = parts.registry(settings, {placement.backend.name: placement.where for placement in placements})
    assert registry.find(settings.tts_model).backend in registry.served
    assert registry.find(registry.defaults.stt_model).backend in registry.served
    assert weights.needed(settings)
    parts.voice_resolver(settings, registry)
    parts.pronunciation(settings)
    wyoming.check(settings)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("open-speech-first", {"os_port": 8100, "os_api_key": "my-secret-key", "stt_model": "Systran/faster-whisper-small"}),
        ("wyoming-openai", {"stt_backends": ("upstream",), "os_wyoming_enabled": True, "os_wyoming_uri": "tcp://0.0.0.0:10300"}),
        ("wyoming-openai", {"tts_upstream_voices": ("alloy", "echo", "fable", "onyx", "nova", "shimmer"), "tts_model": "upstream/tts-1"}),
        ("voice-stack", {"stt_model": "Systran/faster-whisper-base", "os_cors_origins": ("http://localhost:3000",), "tts_model": "kokoro"}),
        ("gemmavoice-local", {"os_api_key": "one,two", "os_auth_required": True, "os_rate_limit": 0, "tts_backends": ("fish",)}),
        ("gemmavoice-local", {"openaudio_default_format": "wav", "tts_default_format": "mp3", "stt_device": "cpu"}),
        (
            "gemmavoice-hosted",
            {"stt_backends": ("upstream",), "stt_model": "upstream/gpt-4o-mini-transcribe", "stt_upstream_timeout_s": 60},
        ),
        ("stt-plan", {"stt_backends": ("faster-whisper",), "stt_model": "deepdml/faster-whisper-large-v3-turbo-ct2"}),
    ],
)
def test_they_mean_what_they_meant(name: str, expected: dict[str, object]) -> None:
    settings, _ = loaded(BLOCKS[name])
    assert {field: getattr(settings, field) for field in expected} == expected


def test_a_server_with_current_names_alone_has_nothing_to_report() -> None:
    for name in ("open-speech-cpu", "open-speech-gpu", "open-speech-secure"):
        assert loaded(BLOCKS[name])[1] == []


@pytest.mark.parametrize("name", BLOCKS)
def test_no_key_is_in_a_line(name: str) -> None:
    _, lines = loaded(BLOCKS[name])
    assert not any(secret in line for line in lines for secret in ("my-secret-key", "YOUR_", "one,two"))
