from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import numpy as np
import pytest
import uvicorn
from fastapi import FastAPI

from open_speech.app import create_app
from open_speech.audio import Audio
from open_speech.backends import BackendEntry, ModelEntry, Task, Voice
from open_speech.config import Settings
from open_speech.dispatch.client import RunnerClient
from open_speech.dispatch.frames import END, SpeakCall, TranscribeCall, audio_frame, error_frame, transcript_frame
from open_speech.dispatch.link import RunnerGone
from open_speech.errors import BackendFailed
from open_speech.registry import Defaults, Registry
from open_speech.transcript import Segment, TranscriptInfo
from runners.wiring.engine import local_engine
from tests.engines import engine_over
from tests.fake_runner import FakeRunner
from tests.waiting import PATIENCE_S


@contextmanager
def serve(app: FastAPI) -> Iterator[str]:
    """Serve an app with uvicorn on a free loopback port; gives `http://host:port`."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False, lifespan="on", timeout_graceful_shutdown=2))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive(), "the server did not start"
            time.sleep(0.01)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(PATIENCE_S)
        listener.close()
        assert not thread.is_alive(), "the server did not stop"


@pytest.fixture(scope="session")
def serving() -> Callable[[FastAPI], AbstractContextManager[str]]:
    """`serve`, for tests that need an app of their own."""
    return serve


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The app on the tones pair, with a key and a small upload limit, behind a real socket."""
    settings = Settings(
        os_models_dir=tmp_path_factory.mktemp("models"), os_api_key="sesame", os_max_upload_mb=1, os_offline=True,
        stt_backends=("tones-stt",), tts_backends=("tones-tts",), stt_model="tones/listen", tts_model="tones/speak", tts_voice="tone",
        stt_vad_enabled=False, os_voice_library_path=tmp_path_factory.mktemp("library"),
    )  # fmt: skip
    with serve(create_app(settings, local_engine(settings))) as url:
        yield url


class Moody(FakeRunner):
    """A runner that does what the text says: `break` dies, `hang` falls silent, anything else is 0.2 s of noise."""

    def __init__(self) -> None:
        self.left = threading.Event()
        """Set when an answer was abandoned before its end."""
        self.hears = threading.Event()
        """Set when a transcription has begun."""
        self.speaks = threading.Event()
        """Set when a synthesis has begun."""
        self.go_on = threading.Event()
        """Lets a transcription that waits come to its end."""

    async def synthesize(self, call: SpeakCall) -> AsyncGenerator[bytes, None]:
        self.speaks.set()
        try:
            if "break" in call.text:
                raise RunnerGone("died")
            if "hang" in call.text:
                await asyncio.sleep(3600)
            noise = np.random.default_rng(0).uniform(-0.5, 0.5, 4800).astype(np.float32)
            yield audio_frame(Audio(noise, 24_000)).encode() + END.encode()
        except asyncio.CancelledError:
            self.left.set()
            raise

    async def transcribe(self, call: TranscribeCall) -> AsyncGenerator[bytes, None]:
        """Give one segment to whom the prompt is more than nothing, and then do what it says: `break`, `hang`, or `wait` for `go_on`."""
        prompt = call.unpack()[1].prompt
        self.hears.set()
        try:
            if prompt is None:
                await asyncio.sleep(3600)
            yield transcript_frame(TranscriptInfo("en", 1.0, 1.0)).encode()
            yield transcript_frame(Segment(0, 1, " heard")).encode()
            if prompt == "break":
                yield error_frame(BackendFailed("The engine broke.")).encode()
            if prompt == "hang":
                await asyncio.sleep(3600)
            await asyncio.to_thread(self.go_on.wait, PATIENCE_S)
            yield transcript_frame(Segment(1, 2, " more")).encode() + END.encode()
        except asyncio.CancelledError:
            self.left.set()
            raise


@pytest.fixture(scope="session")
def moody_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Moody]]:
    """The app on a runner that breaks when it is told to, behind a real socket."""
    backends = [BackendEntry("mouth", Task.TTS, "x:X", (), "", "MIT", piece_chars=60), BackendEntry("ear", Task.STT, "x:X", (), "", "MIT")]
    models = [
        ModelEntry("mouth", "mouth", Task.TTS, "MIT", ("en",), voices=(Voice("ann", "en"),), default_voice="ann"),
        ModelEntry("ear", "ear", Task.STT, "MIT", ("en",)),
    ]
    runner = Moody()
    registry = Registry(backends, models, {"mouth": "process", "ear": "process"}, Defaults("ear", "mouth", "ann"))
    clients = {name: RunnerClient(name, runner, deadline_s=30) for name in registry.served}
    engine = engine_over(registry, clients, max_text_chars=4096)
    with serve(create_app(Settings(os_models_dir=tmp_path_factory.mktemp("models")), engine)) as url:
        yield url, runner
