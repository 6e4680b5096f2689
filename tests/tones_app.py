"""Fixtures of an application on the tones backends, for the tests of what all routes need and of OpenAI's API."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from open_speech.app import create_app
from open_speech.config import Settings
from open_speech.engine import Engine
from runners.wiring.engine import local_engine

SENTENCE = "Hello there world."


@pytest.fixture(scope="session")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return Settings(
        os_models_dir=Path(tmp_path_factory.mktemp("models")),
        os_voice_library_path=Path(tmp_path_factory.mktemp("library")),
        os_max_upload_mb=4,
        stt_backends=("tones-stt",),
        tts_backends=("tones-tts",),
        stt_model="tones/listen",
        tts_model="tones/speak",
        tts_voice="tone",
        stt_vad_enabled=False,  # tones are no speech
        os_offline=True,
    )


@pytest.fixture(scope="session")
def engine(settings: Settings) -> Engine:
    return local_engine(settings)


@pytest.fixture(scope="session")
def client(settings: Settings, engine: Engine) -> Iterator[TestClient]:
    """The app on the tones pair; a failure of the server itself raises here."""
    with TestClient(create_app(settings, engine)) as client:
        yield client


@pytest.fixture(scope="session")
def spoken(client: TestClient) -> Callable[[str], bytes]:
    """Speak SENTENCE in a format."""

    def speak(form: str) -> bytes:
        answer = client.post("/v1/audio/speech", json={"model": "tts-1", "input": SENTENCE, "voice": "alloy", "response_format": form})
        assert answer.status_code == 200, answer.text
        return answer.content

    return speak


@pytest.fixture(scope="session")
def clip(spoken: Callable[[str], bytes]) -> bytes:
    """SENTENCE as a wav file."""
    return spoken("wav")
