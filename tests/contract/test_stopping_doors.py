"""A server that lets nobody in any more: each live door says so in its own words, and stays open where its protocol wants that."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest
from fastapi import FastAPI
from websockets.sync.client import ClientConnection, connect
from wyoming.asr import Transcribe
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.client import AsyncClient
from wyoming.event import Event
from wyoming.tts import Synthesize

from benchmarks.served import free_port
from open_speech.api.wyoming.access import ConnectionLimit
from open_speech.api.wyoming.server import Door, serving
from open_speech.app import create_app
from open_speech.config import Settings
from open_speech.engine import Engine
from runners.wiring.engine import local_engine
from runners.wiring.wyoming_service import service_of
from tests.waiting import PATIENCE_S

Serving = Callable[[FastAPI], AbstractContextManager[str]]
SECOND = bytes(32_000)


@pytest.fixture
def engine(tones_settings: Settings) -> Engine:
    engine = local_engine(tones_settings)
    engine.pool.admission.close()
    return engine


@pytest.fixture
def stopping(serving: Serving, tones_settings: Settings, engine: Engine) -> Iterator[str]:
    with serving(create_app(tones_settings, engine)) as url:
        yield f"ws{url.removeprefix('http')}"


@contextmanager
def opened(url: str) -> Iterator[ClientConnection]:
    with connect(url) as socket:
        yield socket


def say(socket: ClientConnection, kind: str, **fields: Any) -> None:
    socket.send(json.dumps({"type": kind, **fields}))


def until(socket: ClientConnection, kind: str) -> dict[str, Any]:
    while True:
        event: dict[str, Any] = json.loads(socket.recv(timeout=PATIENCE_S))
        if event["type"] == kind:
            return event


def test_a_realtime_session_lives_on(stopping: str) -> None:
    with opened(f"{stopping}/v1/realtime?model=tts-1") as socket:
        heard = {"transcription": {"model": "whisper-1"}, "turn_detection": None}
        say(socket, "session.update", session={"type": "realtime", "audio": {"input": heard}})
        for _ in range(2):
            say(socket, "input_audio_buffer.append", audio=base64.b64encode(SECOND).decode())
            say(socket, "input_audio_buffer.commit")
            failed = until(socket, "conversation.item.input_audio_transcription.failed")
            assert failed["error"]["code"] == "server_stopping"
            item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Anybody there?"}]}
            say(socket, "response.create", response={"conversation": "none", "input": [item]})
            response = until(socket, "response.done")["response"]
            assert (response["status"], response["status_details"]["error"]["code"]) == ("failed", "server_stopping")


def test_a_live_transcription_is_told_once_for_each_utterance_and_lives_on(stopping: str) -> None:
    with opened(f"{stopping}/v1/audio/stream?vad=false") as socket:
        for _ in range(2):
            for _ in range(5):
                socket.send(SECOND)
            say(socket, "finalize")
            assert until(socket, "error")["error"]["code"] == "server_stopping"
        say(socket, "stop")
        assert json.loads(socket.recv(timeout=PATIENCE_S))["type"] == "session.end"


def test_a_live_speech_lives_on(stopping: str) -> None:
    with opened(f"{stopping}/v1/audio/speech/stream") as socket:
        say(socket, "config", voice="tone")
        for _ in range(2):
            say(socket, "text", text="Anybody there?")
            say(socket, "flush")
            assert until(socket, "error")["error"]["code"] == "server_stopping"
            until(socket, "flushed")


FORM = {"rate": 16_000, "width": 2, "channels": 1}
LISTEN = [Transcribe().event(), AudioStart(**FORM).event(), AudioChunk(**FORM, audio=SECOND).event(), AudioStop().event()]


@pytest.mark.parametrize("asked", [LISTEN, [Synthesize("Anybody there?").event()]], ids=["transcribe", "synthesize"])
def test_wyoming_answers_with_an_error_and_closes(engine: Engine, tones_settings: Settings, asked: list[Event]) -> None:
    async def scene() -> list[Event]:
        uri, told = f"tcp://127.0.0.1:{free_port()}", list[Event]()
        async with serving(Door(uri), ConnectionLimit(), service_of(engine, tones_settings)), AsyncClient.from_uri(uri) as client:
            for event in asked:
                await client.write_event(event)
            while (event_ := await client.read_event()) is not None:
                told.append(event_)
        return told

    (error,) = asyncio.run(asyncio.wait_for(scene(), PATIENCE_S))
    assert (error.type, error.data["code"]) == ("error", "server_stopping")
