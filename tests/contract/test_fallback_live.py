"""Fallback models behind the live doors: Realtime, with keys and ephemeral keys, and Wyoming."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from wyoming.asr import Transcribe, Transcript
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.client import AsyncClient
from wyoming.event import Event
from wyoming.tts import Synthesize

from benchmarks.served import free_port
from open_speech.api.wyoming.access import ConnectionLimit
from open_speech.api.wyoming.server import WyomingServer
from open_speech.api.wyoming.server import serving as serving_wyoming
from open_speech.app import create_app
from open_speech.audio import resample, to_pcm16
from open_speech.config import Settings
from runners.wiring.engine import local_engine
from runners.wiring.wyoming_service import service_of
from tests.contract.test_fallback import DEEPGRAM, HOME, KEYED, LISTEN, NOISE, SPEAK, SPEECH, WORK, asked, cloud, settings
from tests.contract.test_realtime_connections import talking
from tests.scripted_server import Upstream
from tests.waiting import PATIENCE_S

__all__ = ["cloud", "settings"]
Serving = Callable[[FastAPI], AbstractContextManager[str]]

AUDIO = base64.b64encode(to_pcm16(resample(NOISE, 24_000))).decode()
UNDETECTED = {"type": "transcription", "audio": {"input": {"turn_detection": None, "transcription": {"model": "whisper-1"}}}}


@pytest.fixture
def keyed(settings: Settings) -> Settings:
    return settings.model_copy(update=KEYED)


def transcribed(server: str, headers: dict[str, str]) -> dict[str, Any]:
    """Commit a second of audio in a transcription session; return the event that ends it."""
    # Only the key: a test client that was given the same headers has added those of its own handshake to them.
    with talking(server, "?intent=transcription", {"Authorization": headers["Authorization"]}) as client:
        client.say("session.update", session=UNDETECTED)
        client.say("input_audio_buffer.append", audio=AUDIO)
        client.say("input_audio_buffer.commit")
        while True:
            event: dict[str, Any] = client.next()
            if event["type"].endswith(("transcription.completed", "transcription.failed")):
                return event


def ephemeral(server: str, headers: dict[str, str]) -> dict[str, str]:
    made = httpx.post(f"{server}/v1/realtime/client_secrets", json={"session": UNDETECTED}, headers=headers, timeout=PATIENCE_S)
    return {"Authorization": f"Bearer {made.json()['value']}"}


@pytest.mark.parametrize("by_ephemeral_key", [False, True])
def test_a_realtime_session_falls_back(serving: Serving, keyed: Settings, cloud: Upstream, by_ephemeral_key: bool) -> None:
    cloud.replies[LISTEN["deepgram"]] = [DEEPGRAM]
    with serving(create_app(keyed, local_engine(keyed))) as server:
        event = transcribed(server, ephemeral(server, WORK) if by_ephemeral_key else WORK)
    assert (event["type"].rpartition(".")[2], event.get("transcript")) == ("completed", "From Deepgram.")


@pytest.mark.parametrize("by_ephemeral_key", [False, True])
def test_a_realtime_session_of_a_local_only_key_stays_local(
    serving: Serving, keyed: Settings, cloud: Upstream, by_ephemeral_key: bool
) -> None:
    cloud.replies[LISTEN["deepgram"]] = [DEEPGRAM]
    with serving(create_app(keyed, local_engine(keyed))) as server:
        event = transcribed(server, ephemeral(server, HOME) if by_ephemeral_key else HOME)
    assert event["type"].endswith("failed")
    assert asked(cloud) == []


def test_wyoming_falls_back_in_both_directions(settings: Settings, cloud: Upstream) -> None:
    cloud.replies = {LISTEN["deepgram"]: [DEEPGRAM], SPEAK["deepgram"]: [SPEECH]}
    uri = f"tcp://127.0.0.1:{free_port()}"

    async def scene() -> tuple[str, list[str]]:
        async with serving_wyoming(WyomingServer(uri), ConnectionLimit(), service_of(local_engine(settings), settings)):
            async with AsyncClient.from_uri(uri) as client:
                form = {"rate": NOISE.rate, "width": 2, "channels": 1}
                await client.write_event(Transcribe().event())
                await client.write_event(AudioStart(**form).event())
                await client.write_event(AudioChunk(audio=to_pcm16(NOISE), **form).event())
                await client.write_event(AudioStop().event())
                heard = Transcript.from_event(await ending(client, "transcript")).text
            async with AsyncClient.from_uri(uri) as client:
                await client.write_event(Synthesize("Hello there.").event())
                await ending(client, "audio-stop")
        return heard, asked(cloud)

    heard, paths = asyncio.run(asyncio.wait_for(scene(), PATIENCE_S))
    assert heard == "From Deepgram."
    assert paths == [LISTEN["deepgram"], SPEAK["deepgram"]]


async def ending(client: AsyncClient, kind: str) -> Event:
    while (event := await client.read_event()) is not None:
        assert event.type != "error", event
        if event.type == kind:
            return event
    raise AssertionError(f"the connection ended before {kind}")
