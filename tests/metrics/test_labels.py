from __future__ import annotations

import pytest

from open_speech.app import create_app
from open_speech.config import Settings
from open_speech.metrics.labels import DOORS, OTHER, Models, door_of, method_of
from runners.wiring.factories import registry


@pytest.mark.parametrize(
    ("path", "door"),
    [
        ("/v1/audio/speech", "openai"), ("/v1/audio/speech/stream", "live-speech"), ("/v1/audio/stream", "live-transcription"),
        ("/v1/audio/transcriptions/stream", "live-transcription"), ("/v1/audio/transcriptions", "openai"),
        ("/v1/realtime", "realtime"), ("/v1/realtime/sessions", "realtime"), ("/api/ps/tones/speak", "management"), ("/asr", "bazarr"),
        ("/bazarr/asr", "bazarr"), ("/health", "probe"), ("/healthz", "probe"), ("/metrics", "probe"), ("/web/js/app.js", "web"),
        ("/v1/speech-to-text", "gemmavoice"), ("/ws/tts", "gemmavoice"), ("/health/stt", "probe"),
        ("/", "other"), ("/wp-login.php", "other"),
    ],
)  # fmt: skip
def test_a_path_leads_to_its_door(path: str, door: str) -> None:
    assert door_of(path) == door


def test_every_route_of_the_app_has_a_door_of_its_own() -> None:
    paths = create_app(Settings()).openapi()["paths"]
    assert [path for path in paths if door_of(path) == OTHER] == []
    assert {door_of(path) for path in paths} <= {door for _, door in DOORS}


def test_a_method_nobody_has_heard_of_is_no_label() -> None:
    assert (method_of("GET"), method_of("BREW")) == ("GET", OTHER)


def test_only_models_that_the_server_lists_are_labels() -> None:
    models = Models(registry(Settings(), {"faster-whisper": "process", "kokoro": "process"}))
    assert models.label("kokoro") == "kokoro"
    assert models.label("Systran/faster-whisper-base") == "Systran/faster-whisper-base"
    assert models.label("somebody/whisper-of-their-own") == OTHER
    assert models.label("upstream/anything") == OTHER


def test_a_model_that_a_server_elsewhere_tells_of_is_a_label_from_then_on() -> None:
    known = registry(Settings(), {"upstream": "process"})
    models = Models(known)
    told = known.find("upstream/whisper-large")
    assert models.label(told.id) == OTHER
    known.learn("upstream", [told])
    assert models.label(told.id) == told.id
