"""Servers started as a user starts them: one without weights, one with the real default models."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from benchmarks.served import Served, serve

TONES = {
    "STT_BACKENDS": "tones-stt",
    "TTS_BACKENDS": "tones-tts",
    "STT_MODEL": "tones/listen",
    "TTS_MODEL": "tones/speak",
    "TTS_VOICE": "tone",
    "OS_OFFLINE": "true",
}


@pytest.fixture(scope="session")
def tones() -> dict[str, str]:
    """The settings of a server without weights, for a test that starts one of its own."""
    return dict(TONES)


@pytest.fixture(scope="session")
def tones_server() -> Iterator[Served]:
    with serve(TONES) as served:
        yield served


@pytest.fixture(scope="session")
def real_server(default_weights: None) -> Iterator[Served]:
    """The default server: faster-whisper base, Kokoro and Piper, with the weights already here."""
    with serve({"OS_OFFLINE": "true"}) as served:
        yield served
