"""A client that leaves: nothing more is synthesized or transcribed for it, and its place is free."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from websockets.sync.client import ClientConnection

from open_speech.app import create_app
from open_speech.audio import Audio
from open_speech.backends import BackendEntry, ModelEntry, Task, Voice
from open_speech.codecs import wav_bytes
from open_speech.config import Settings
from open_speech.dispatch.client import RunnerClient
from open_speech.dispatch.frames import SpeakCall, audio_frame
from open_speech.registry import Defaults, Registry
from tests.contract.conftest import serving
from tests.contract.test_leaving import World, loud, world
from tests.engines import engine_over
from tests.fake_runner import FakeRunner
from tests.waiting import PATIENCE_S, until

__all__ = ["serving", "world"]


class Endless(FakeRunner):
    """A runner that speaks until it is stopped."""

    def __init__(self) -> None:
        self.has_stopped = False

    async def synthesize(self, call: SpeakCall) -> AsyncGenerator[bytes, None]:
        noise = np.random.default_rng(0).uniform(-0.5, 0.5, 4800).astype(np.float32)
        try:
            while True:
                yield audio_frame(Audio(noise, 24_000)).encode()
                await asyncio.sleep(0.01)
        finally:
            self.has_stopped = True


@pytest.mark.parametrize(("fields", "accept"), [({"stream": True}, "*/*"), ({}, "text/event-stream"), ({}, "audio/*"), ({}, "*/*")])
def test_a_client_that_leaves_an_answer_stops_the_synthesis(serving: Any, tmp_path: Path, fields: Any, accept: str) -> None:
    backends = [BackendEntry("mouth", Task.TTS, "x:X", (), "", "MIT", piece_chars=60)]
    models = [ModelEntry("mouth", "mouth", Task.TTS, "MIT", ("en",), voices=(Voice("ann", "en"),), default_voice="ann")]
    runner = Endless()
    registry = Registry(backends, models, {"mouth": "process"}, Defaults("", "mouth", "ann"))
    engine = engine_over(registry, {"mouth": RunnerClient("mouth", runner, deadline_s=600)})
    is_sent_live = bool(fields) or "event" in accept
    timeout = httpx.Timeout(PATIENCE_S, read=PATIENCE_S if is_sent_live else 0.3)
    with serving(create_app(Settings(os_models_dir=tmp_path), engine)) as url:
        request: Any = {"json": {"text": "Hello.", **fields}, "headers": {"Accept": accept}, "timeout": timeout}
        if is_sent_live:
            with httpx.stream("POST", f"{url}/v1/text-to-speech", **request) as answer:
                assert answer.status_code == 200
                assert next(answer.iter_bytes())
        else:
            with pytest.raises(httpx.ReadTimeout):
                httpx.post(f"{url}/v1/text-to-speech", **request)
        until(lambda: runner.has_stopped)


def committed(client: ClientConnection) -> None:
    client.send(wav_bytes(Audio(np.frombuffer(loud(16_000), np.int16).astype(np.float32) / np.float32(32768), 16_000)))
    client.send('{"event": "commit"}')


def live(client: ClientConnection) -> None:
    client.send('{"type": "config", "vad": false}')
    client.send(loud(16_000))
    client.send('{"type": "stop"}')


def speech(client: ClientConnection) -> None:
    client.send(json.dumps({"text": "Hello there. " * 100}))


@pytest.mark.parametrize(
    ("path", "say"), [("/ws/stt", committed), ("/v1/speech-to-text/stream", live), ("/ws/tts", speech)], ids=["file", "live", "speech"]
)
def test_nothing_more_is_begun_for_a_client_that_has_left(world: World, path: str, say: Callable[[ClientConnection], None]) -> None:
    with world.talking(path) as client:
        say(client)
        until(lambda: world.runner.begun)
    until(world.is_free, why=lambda: f"it still works for nobody: {world.runner.begun} begun")
    until(lambda: world.runner.left == world.runner.begun)
