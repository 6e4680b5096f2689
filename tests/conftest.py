"""Fixtures of every tier: where the real weights are, and real speech to try them on. Both come through the project's own Store."""

from __future__ import annotations

import socket
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import uvicorn
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings

with warnings.catch_warnings():
    # BentoML's import uses what pathspec and pydantic have deprecated; every warning of our own stays an error.
    warnings.simplefilter("ignore", DeprecationWarning)
    import _bentoml_impl.client.proxy2
    import _bentoml_impl.server.app  # noqa: F401 - imported for its warnings

    # The Wyoming library prefers Python's own audioop, which Python 3.11 and 3.12 have deprecated.
    import wyoming.audio  # noqa: F401

from open_speech import config
from open_speech.app import create_app
from open_speech.config import Settings
from open_speech.testing import clips
from open_speech.weights import Store
from runners import catalog
from runners.wiring.engine import local_engine
from tests.language_model import LanguageModelServer, serve_language_model
from tests.waiting import PATIENCE_S

# The same examples in every run, and none is too slow: a test that fails does so on every machine.
# `--hypothesis-profile=random` looks for others.
hypothesis_settings.register_profile("random", deadline=None, suppress_health_check=[HealthCheck.too_slow])
hypothesis_settings.register_profile("same", hypothesis_settings.get_profile("random"), derandomize=True)
hypothesis_settings.load_profile("same")


@pytest.fixture(scope="session")
def weights_root() -> Path:
    """The models folder that this machine's settings name; it is kept between runs."""
    return config.load().models_dir


@pytest.fixture(scope="session")
def model_folder(weights_root: Path) -> Callable[[str], Path]:
    """The folder of a catalog model by its id, pulled first if it is not there."""
    store = Store(weights_root)
    entries = {model.id: model for model in catalog.models()}
    return lambda model_id: store.pull(entries[model_id])


@pytest.fixture(scope="session")
def default_weights(model_folder: Callable[[str], Path]) -> None:
    """The models of the default server are here."""
    for model_id in ("Systran/faster-whisper-base", "kokoro", "piper/en_US-joe-medium"):
        model_folder(model_id)


@pytest.fixture(scope="session")
def speech_clips(weights_root: Path) -> dict[str, Path]:
    """Real recordings by name: `beckett` (9.96 s) and `two_cities` (44.4 s), both WAV at 48 kHz."""
    return clips.speech_clips(weights_root)


@pytest.fixture(scope="session")
def tones_upstream(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Our own server on tones, behind a real socket and the key `sesame`; its address up to `/v1`."""
    settings = Settings(
        os_models_dir=tmp_path_factory.mktemp("models"), os_api_key="sesame", os_offline=True,
        stt_backends=("tones-stt",), tts_backends=("tones-tts",), stt_model="tones/listen", tts_model="tones/speak", tts_voice="tone",
        stt_vad_enabled=False, os_voice_library_path=tmp_path_factory.mktemp("library"),
    )  # fmt: skip
    listener = socket.create_server(("127.0.0.1", 0))
    app = create_app(settings, local_engine(settings))
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False, lifespan="on", timeout_graceful_shutdown=2))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive(), "the server did not start"
        time.sleep(0.01)
    yield f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
    server.should_exit = True
    thread.join(PATIENCE_S)
    listener.close()


@pytest.fixture
def language_model() -> Iterator[LanguageModelServer]:
    """A server with OpenAI's `/chat/completions` that does what the last message says."""
    with serve_language_model() as server:
        yield server


@pytest.fixture
def tones_settings(tmp_path: Path) -> Settings:
    """A server with the tones pair alone, and nothing on disk but what it makes itself."""
    return Settings(
        os_models_dir=tmp_path / "models", os_offline=True, stt_backends=("tones-stt",), tts_backends=("tones-tts",),
        stt_model="tones/listen", tts_model="tones/speak", tts_voice="tone", stt_vad_enabled=False,
        os_voice_library_path=tmp_path / "library", os_jobs_dir=tmp_path / "jobs",
    )  # fmt: skip
