"""A client that leaves while its audio is still being transcribed, or its text spoken: no window and no piece is begun for it any more."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from fastapi import FastAPI
from websockets.sync.client import ClientConnection, connect

from open_speech.app import create_app
from open_speech.audio import Audio, to_pcm16
from open_speech.backends import BackendEntry, ModelEntry, Task, Voice
from open_speech.config import Settings
from open_speech.dispatch.client import RunnerClient
from open_speech.dispatch.frames import LoadModel, SpeakCall, TranscribeCall
from open_speech.registry import Defaults, Registry
from runners.wiring.factories import speech_model
from tests.engines import engine_over
from tests.fake_runner import FakeRunner
from tests.waiting import until

Serving = Callable[[FastAPI], AbstractContextManager[str]]

MINUTES = 4
WINDOW_S = 10.0
WINDOWS = round(MINUTES * 60 / WINDOW_S)
MOST = 6
"""Windows that may have been begun when the client leaves: those that are decoded at once, and as many looked at ahead."""


class Waiting(FakeRunner):
    """A runner that never comes to an end, and counts what it was asked to do."""

    def __init__(self) -> None:
        self.begun = self.left = 0

    async def transcribe(self, call: TranscribeCall) -> AsyncGenerator[bytes, None]:
        async for answer in self._never():
            yield answer

    async def synthesize(self, call: SpeakCall) -> AsyncGenerator[bytes, None]:
        async for answer in self._never():
            yield answer

    async def _never(self) -> AsyncGenerator[bytes, None]:
        self.begun += 1
        try:
            await asyncio.sleep(3600)
            yield b""
        finally:
            self.left += 1

    async def load_model(self, call: LoadModel) -> AsyncGenerator[bytes, None]:
        await asyncio.sleep(3600)
        yield b""


@dataclass(frozen=True, slots=True)
class World:
    """A server and its runner."""

    url: str
    runner: Waiting
    app: FastAPI

    @contextmanager
    def talking(self, path: str) -> Iterator[ClientConnection]:
        with connect(f"ws{self.url.removeprefix('http')}{path}", max_size=None) as client:
            yield client

    def is_free(self) -> bool:
        """Whether no connection is open."""
        states = (self.app.state.seats, self.app.state.realtime_seats)
        settings = self.app.state.settings
        return [seats._free for seats in states] == [settings.os_stream_max_connections, settings.os_realtime_max_sessions]


@pytest.fixture
def world(serving: Serving, tones_settings: Settings, tmp_path: Path) -> Iterator[World]:
    backends = [
        BackendEntry("mouth", Task.TTS, "x:X", (), "", "MIT", piece_chars=60),
        BackendEntry("ear", Task.STT, "x:X", (), "", "MIT", window_s=WINDOW_S),
    ]
    models = [
        ModelEntry("mouth", "mouth", Task.TTS, "MIT", ("en",), voices=(Voice("ann", "en"),), default_voice="ann"),
        ModelEntry("ear", "ear", Task.STT, "MIT", ("en",)),
    ]
    runner = Waiting()
    registry = Registry(backends, models, {"mouth": "process", "ear": "process"}, Defaults("ear", "mouth", "ann"))
    clients = {name: RunnerClient(name, runner, deadline_s=600) for name in registry.served}
    engine = engine_over(registry, clients, detector=speech_model(tones_settings), max_audio_s=3600, max_text_chars=4096)
    app = create_app(Settings(os_models_dir=tmp_path), engine)
    with serving(app) as url:
        yield World(url, runner, app)


def loud(rate: int) -> bytes:
    """Minutes of noise, as PCM."""
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, MINUTES * 60 * rate).astype(np.float32)
    return to_pcm16(Audio(noise, rate))


def live(client: ClientConnection) -> None:
    client.send(loud(16_000))


def live_and_more(client: ClientConnection) -> None:
    client.send(loud(16_000))
    for _ in range(20):
        client.send('{"type":"keepalive"}')


def live_in_pieces(client: ClientConnection) -> None:
    sound = loud(16_000)
    for at in range(0, len(sound), 6400):
        client.send(sound[at : at + 6400])


def realtime(client: ClientConnection) -> None:
    _listens_without_turns(client)
    client.send(json.dumps({"type": "input_audio_buffer.append", "audio": base64.b64encode(loud(24_000)).decode()}))
    client.send('{"type":"input_audio_buffer.commit"}')


def realtime_items(client: ClientConnection) -> None:
    _listens_without_turns(client)
    sound = base64.b64encode(loud(24_000)).decode()
    part = {"type": "input_audio", "audio": sound}
    for _ in range(3):
        client.send(json.dumps({"type": "conversation.item.create", "item": {"type": "message", "role": "user", "content": [part]}}))


def _listens_without_turns(client: ClientConnection) -> None:
    turnless = {"input": {"turn_detection": None, "transcription": {"model": "ear"}}}
    client.send(json.dumps({"type": "session.update", "session": {"type": "realtime", "audio": turnless}}))


def speech(client: ClientConnection) -> None:
    client.send('{"type":"config","model":"mouth","voice":"ann"}')
    for number in range(100):
        client.send(json.dumps({"type": "text", "text": f"This is sentence number {number}, and it is of some length. "}))


@pytest.mark.parametrize(
    ("path", "say"),
    [
        ("/v1/audio/stream?vad=false&model=ear", live),
        ("/v1/audio/stream?vad=false&model=ear", live_and_more),
        ("/v1/audio/stream?vad=false&model=ear", live_in_pieces),
        ("/v1/realtime?model=mouth", realtime),
        ("/v1/realtime?model=mouth", realtime_items),
        ("/v1/audio/speech/stream", speech),
    ],
    ids=["live", "live and more", "live in pieces", "realtime", "realtime items", "speech"],
)
def test_nothing_more_is_begun_for_a_client_that_has_left(world: World, path: str, say: Callable[[ClientConnection], None]) -> None:
    with world.talking(path) as client:
        say(client)
        until(lambda: world.runner.begun)
    until(world.is_free, why=lambda: f"it still works for nobody: {world.runner.begun} begun")
    until(lambda: world.runner.left == world.runner.begun)
    assert world.runner.begun <= MOST < WINDOWS
