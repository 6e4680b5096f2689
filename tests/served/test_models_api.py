"""Models pulled, loaded, used and let go of through a server as users run it, and the memory that comes back."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from benchmarks.served import Served, serve
from tests.waiting import PATIENCE_S, until

pytestmark = pytest.mark.served

MODELS = (
    "Systran/faster-whisper-base", "moonshine/base", "vosk-model-small-en-us-0.15", "kokoro", "piper/en_US-joe-medium",
)  # fmt: skip


@pytest.mark.parametrize("name", ["tones/speak", "tones%2Fspeak"])
def test_an_id_with_a_slash_reaches_the_server_however_it_is_written(tones_server: Served, name: str) -> None:
    with httpx.Client(base_url=tones_server.url, timeout=PATIENCE_S) as client:
        assert client.post(f"/api/models/{name}/load").json()["state"] == "loaded"
        assert client.get(f"/api/models/{name}").json()["id"] == "tones/speak"
        assert client.get(f"/api/models/{name}/status").json()["memory_bytes"] > 10_000_000
        assert "tones/speak" in [model["name"] for model in client.get("/api/ps").json()["models"]]
        assert client.delete(f"/api/ps/{name}").json() == {"status": "success"}
        assert client.delete(f"/api/models/{name}").json()["state"] == "downloaded"
        assert client.get("/api/models/no%2Fsuch").status_code == 404


def test_events_come_while_the_connection_stays_open(tones_server: Served) -> None:
    with httpx.stream("GET", f"{tones_server.url}/api/models/tones/speak/status?stream=true", timeout=PATIENCE_S) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        first = next(answer.iter_lines())
    assert '"id":"tones/speak"' in first


def test_a_runner_is_started_again_in_a_container_too(tones: dict[str, str]) -> None:
    with serve({**tones, "BENTOML_CONTAINERIZED": "1"}) as served:
        old = served.kill("tones_tts")
        answer = httpx.post(
            served.url + "/v1/audio/speech", json={"model": "tts-1", "voice": "alloy", "input": "hello"}, timeout=PATIENCE_S
        )
        assert answer.status_code == 200
        assert served.pid_of("tones_tts") != old


@pytest.fixture(scope="module")
def all_engines(default_weights: None, model_folder: Any) -> Iterator[Served]:
    """A server with five engines whose models stay until they are let go of."""
    for name in MODELS:
        model_folder(name)
    engines = {"STT_BACKENDS": "faster-whisper,moonshine,vosk", "TTS_BACKENDS": "kokoro,piper"}
    with serve({"OS_OFFLINE": "true", "OS_MODEL_TTL": "0", **engines}, ready_within_s=120) as served:
        yield served


@pytest.mark.weights
@pytest.mark.parametrize("model", MODELS)
def test_the_memory_of_a_runner_is_as_before_when_its_model_was_let_go(
    all_engines: Served, model: str, speech_clips: dict[str, Path]
) -> None:
    with httpx.Client(base_url=all_engines.url, timeout=PATIENCE_S) as client:
        backend = client.get(f"/api/models/{model}").json()["backend"]

        def memory_mb() -> float:
            runner = client.get("/health").json()["backends"][backend]["runner"]
            return float("inf") if runner is None else float(runner["memory_bytes"]) / 1e6

        before = memory_mb()
        assert client.post(f"/api/models/{model}/load").json()["state"] == "loaded"
        use(client, model, speech_clips["beckett"])
        used = memory_mb()
        assert used > before * 1.3
        assert client.post(f"/api/models/{model}/unload").json()["state"] == "downloaded"
        until(
            lambda: memory_mb() <= before * 1.1,
            why=lambda: f"{before:.0f} MB before, {used:.0f} MB in use, {memory_mb():.0f} MB afterwards",
        )
        use(client, model, speech_clips["beckett"])  # and it can be used again at once


def use(client: httpx.Client, model: str, clip: Path) -> None:
    if client.get(f"/api/models/{model}").json()["task"] == "speech-to-text":
        heard = client.post("/v1/audio/transcriptions", files={"file": clip.read_bytes()}, data={"model": model, "language": "en"})
        assert "fail better" in heard.raise_for_status().json()["text"].lower()
    else:
        body = {"model": model, "voice": "alloy", "input": "The train leaves at seven in the evening.", "response_format": "pcm"}
        assert len(client.post("/v1/audio/speech", json=body).raise_for_status().content) > 50_000


@pytest.mark.weights
def test_a_short_time_to_live_and_a_limit_hold_under_load_and_nothing_is_lost(model_folder: Any, speech_clips: dict[str, Path]) -> None:
    """Two models of one engine with room for one, asked for in turn by several at once; then silence, then nothing is loaded."""
    models = ("moonshine/tiny", "moonshine/base")
    for name in models:
        model_folder(name)
    settings = {"STT_BACKENDS": "moonshine", "STT_MODEL": models[0], "TTS_ENABLED": "false"}
    limits = {"OS_OFFLINE": "true", "OS_MODEL_TTL": "2", "OS_MAX_LOADED_MODELS": "1"}
    wav = speech_clips["beckett"].read_bytes()
    with serve({**settings, **limits}) as served, httpx.Client(base_url=served.url, timeout=PATIENCE_S) as client:
        statuses: list[int] = []

        def caller(number: int) -> None:
            for turn in range(4):
                form = {"model": models[(number + turn) % 2], "language": "en"}
                statuses.append(client.post("/v1/audio/transcriptions", files={"file": wav}, data=form).status_code)

        callers = [threading.Thread(target=caller, args=(number,)) for number in range(3)]
        for thread in callers:
            thread.start()
        most = 0
        while any(thread.is_alive() for thread in callers):
            runner = client.get("/health").json()["backends"]["moonshine"]["runner"] or {}
            idle = [name for name, users in runner.get("in_flight", {}).items() if not users]
            most = max(most, len(idle))
            time.sleep(0.1)
        assert statuses == [200] * 12
        assert most <= 1, "beyond the limit only what is in use stays"
        until(lambda: client.get("/api/ps").json() == {"models": []})
