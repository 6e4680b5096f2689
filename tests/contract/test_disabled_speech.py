"""A server with TTS_ENABLED=false names that setting on every API that is asked for speech, and transcribes as usual."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from websockets.sync.client import connect
from wyoming.tts import Synthesize

from open_speech.app import create_app
from open_speech.config import Settings
from runners.wiring.engine import local_engine
from tests.contract.test_realtime_sdk import Serving
from tests.contract.test_wyoming_client import connected
from tests.waiting import PATIENCE_S

SETTING = "TTS_ENABLED is false"
SPEECH = {"input": "Hello."}


@pytest.fixture
def mute(tones_settings: Settings, serving: Serving) -> Iterator[str]:
    settings = tones_settings.model_copy(update={"tts_enabled": False})
    with serving(create_app(settings, local_engine(settings))) as url:
        yield url


def until(url: str, kinds: tuple[str, ...], *messages: dict[str, object]) -> str:
    """Send messages over a WebSocket and return the first answer of one of the types, as JSON."""
    with connect(f"ws{url.removeprefix('http')}") as socket:
        for message in messages:
            socket.send(json.dumps(message))
        while True:
            answer = str(socket.recv(timeout=PATIENCE_S))
            if json.loads(answer)["type"] in kinds:
                return answer


@pytest.mark.parametrize("model", [{}, {"model": "tts-1"}, {"model": "tones/speak"}, {"model": "kokoro"}, {"model": "nobody"}])
@pytest.mark.parametrize("path", ["/v1/audio/speech", "/v1/audio/jobs"])
def test_http_names_the_setting(mute: str, path: str, model: dict[str, str]) -> None:
    answer = httpx.post(mute + path, json=SPEECH | model, timeout=PATIENCE_S)
    error = answer.json()["error"]
    assert (answer.status_code, error["param"], error["code"]) == (400, "model", "not_installed")
    assert SETTING in error["message"]


def test_websockets_name_the_setting(mute: str) -> None:
    response = {"type": "response.create", "response": {"instructions": "Hello."}}
    assert SETTING in until(f"{mute}/v1/realtime", ("response.done",), response)
    assert SETTING in until(f"{mute}/v1/audio/speech/stream", ("error",), {"type": "config", "model": "tts-1"})


def test_management_names_the_setting(mute: str) -> None:
    answer = httpx.post(f"{mute}/api/models/tones%2Fspeak/load", timeout=PATIENCE_S)
    assert SETTING in answer.json()["error"]["message"]


def test_wyoming_names_the_setting(tones_settings: Settings, tmp_path: Path) -> None:
    async def scene() -> None:
        uri = f"unix://{tmp_path}/wyoming"
        async with connected(uri, tones_settings.model_copy(update={"tts_enabled": False})) as client:
            await client.write_event(Synthesize("Hello.").event())
            event = await asyncio.wait_for(client.read_event(), PATIENCE_S)
            assert event is not None and event.type == "error"
            assert SETTING in event.data["text"]

    asyncio.run(scene())
