"""No endpoint downloads a hub repository that the operator has not allowed; the error names the field and the setting."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import httpx
import numpy as np
import pytest
import soundfile
from fastapi import FastAPI
from websockets.sync.client import connect
from wyoming.asr import Transcribe
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.client import AsyncClient
from wyoming.error import Error

from benchmarks.served import free_port
from open_speech.api.wyoming.access import ConnectionLimit
from open_speech.api.wyoming.server import WyomingServer, serving
from open_speech.app import create_app
from open_speech.config import Settings
from open_speech.engine import Engine
from runners.wiring.engine import local_engine
from runners.wiring.wyoming_service import service_of
from tests.waiting import PATIENCE_S

KEY = {"Authorization": "Bearer sesame"}
MODEL = "acme/whisper"
CODE = "model_not_allowed"
Serving = Callable[[FastAPI], AbstractContextManager[str]]


def clip() -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, np.full(16_000, 0x2010, np.int16), 16_000, "PCM_16", format="WAV")
    return buffer.getvalue()


@pytest.fixture
def settings(tones_settings: Settings) -> Settings:
    """A server with a key, whose recogniser takes any hub repository. It is offline: a download that is tried fails with another error."""
    named = {"stt_backends": ("faster-whisper", "tones-stt"), "os_api_key": "sesame"}
    return tones_settings.model_copy(update=named)


@pytest.fixture
def engine(settings: Settings) -> Engine:
    return local_engine(settings)


@pytest.fixture
def server(serving: Serving, settings: Settings, engine: Engine) -> Iterator[str]:
    with serving(create_app(settings, engine)) as url:
        yield url


FORMS = (
    "/v1/audio/transcriptions", "/v1/audio/translations", "/v1/audio/transcriptions/verbose", "/v1/audio/transcriptions/batch",
    "/v1/audio/jobs",
)  # fmt: skip
ORDERS = (
    f"/api/models/{MODEL}/download", f"/api/models/{MODEL}/load", f"/api/ps/{MODEL}", f"/api/pull/{MODEL}",
    "/api/models/acme%2Fwhisper/download",
)  # fmt: skip


@pytest.mark.parametrize("path", FORMS)
def test_no_form_has_a_repository_downloaded(server: str, path: str) -> None:
    answer = httpx.post(f"{server}{path}", headers=KEY, data={"model": MODEL}, files={"file": ("a.wav", clip())}, timeout=PATIENCE_S)
    error = refused(answer)
    assert (error["param"], error["code"]) == ("model", CODE)
    assert "OS_PULL_ALLOWED" in error["message"]


@pytest.mark.parametrize("path", ["/asr", "/detect-language", "/bazarr/asr", "/bazarr/detect-language"])
def test_no_raw_upload_has_a_repository_downloaded(server: str, path: str) -> None:
    files = {"audio_file": ("a.wav", clip())}
    answer = httpx.post(f"{server}{path}", params={"model": MODEL}, headers=KEY, files=files, timeout=PATIENCE_S)
    assert refused(answer)["code"] == CODE


@pytest.mark.parametrize("path", ORDERS)
def test_management_follows_the_setting_with_a_key_too(server: str, path: str) -> None:
    assert refused(httpx.post(f"{server}{path}", headers=KEY, timeout=PATIENCE_S))["code"] == CODE


def test_a_pull_that_is_streamed_names_the_setting(server: str) -> None:
    lines = httpx.post(f"{server}/api/pull/{MODEL}", params={"stream": "true"}, headers=KEY, timeout=PATIENCE_S).text.splitlines()
    assert "OS_PULL_ALLOWED" in json.loads(lines[-1])["error"]


def test_a_stream_has_no_repository_downloaded(server: str) -> None:
    with connect(f"ws{server.removeprefix('http')}/v1/audio/stream?model={MODEL}", additional_headers=KEY) as socket:
        assert CODE in str(socket.recv(timeout=PATIENCE_S))


def test_a_realtime_session_has_no_repository_downloaded(server: str) -> None:
    with connect(f"ws{server.removeprefix('http')}/v1/realtime?intent=transcription", additional_headers=KEY) as socket:
        heard = {"transcription": {"model": MODEL}, "turn_detection": None}
        socket.send(json.dumps({"type": "session.update", "session": {"type": "transcription", "audio": {"input": heard}}}))
        socket.send(json.dumps({"type": "input_audio_buffer.append", "audio": "AAAA" * 12_000}))
        socket.send(json.dumps({"type": "input_audio_buffer.commit"}))
        while "error" not in (event := json.loads(socket.recv(timeout=PATIENCE_S))):
            pass
        assert event["error"]["code"] == CODE


def test_wyoming_has_no_repository_downloaded(settings: Settings, engine: Engine) -> None:
    async def asked() -> Error:
        port = free_port()
        async with serving(WyomingServer(f"tcp://127.0.0.1:{port}"), ConnectionLimit(), service_of(engine, settings)):
            async with AsyncClient.from_uri(f"tcp://127.0.0.1:{port}") as client:
                for event in (Transcribe(name=MODEL), AudioStart(16_000, 2, 1), AudioChunk(16_000, 2, 1, bytes(32_000)), AudioStop()):
                    await client.write_event(event.event())
                async with asyncio.timeout(PATIENCE_S):
                    while (event := await client.read_event()) is not None:
                        if Error.is_type(event.type):
                            return Error.from_event(event)
        raise AssertionError("no error came")

    error = asyncio.run(asked())
    assert CODE in (error.code or "")
    assert "OS_PULL_ALLOWED" in error.text


def test_a_job_is_refused_when_it_is_handed_in(server: str) -> None:
    httpx.post(f"{server}/v1/audio/jobs", headers=KEY, data={"model": MODEL}, files={"file": ("a.wav", clip())}, timeout=PATIENCE_S)
    assert httpx.get(f"{server}/v1/audio/jobs", headers=KEY, timeout=PATIENCE_S).json()["data"] == []


@pytest.mark.parametrize("allowed", [("any",), ("acme/*",), (MODEL,)])
def test_what_is_allowed_is_looked_for(serving: Serving, settings: Settings, allowed: tuple[str, ...]) -> None:
    chosen = settings.model_copy(update={"os_pull_allowed": allowed})
    with serving(create_app(chosen, local_engine(chosen))) as url:
        answer = httpx.post(f"{url}/api/pull/{MODEL}", headers=KEY, timeout=PATIENCE_S)
        assert answer.json()["error"]["code"] == "weights_unavailable"  # OS_OFFLINE


def test_a_model_that_somebody_put_into_the_models_folder_is_used(settings: Settings, engine: Engine) -> None:
    folder = settings.models_dir / MODEL
    folder.mkdir(parents=True)
    (folder / "model.bin").write_bytes(b"weights")
    (folder / "config.json").write_bytes(b"{}")
    assert asyncio.run(engine.pool.usable(MODEL)).id == MODEL


def refused(answer: httpx.Response) -> dict[str, Any]:
    body = answer.json()
    if answer.status_code == 200:  # a batch answers file by file
        (result,) = body["results"]
        return dict(result["error"])
    assert answer.status_code == 403, answer.text
    return dict(body["error"])
