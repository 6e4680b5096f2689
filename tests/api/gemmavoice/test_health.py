from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from starlette.testclient import TestClient

from open_speech.api.gemmavoice.health import component
from open_speech.app import create_app
from open_speech.backends import Task
from open_speech.config import Settings
from open_speech.engine import Engine
from runners.wiring.engine import local_engine


def test_health_says_ok(client: TestClient) -> None:
    assert client.get("/health").json()["status"] == "ok"


@pytest.mark.parametrize(("part", "backend"), [("stt", "tones-stt"), ("tts", "tones-tts")])
def test_a_part_with_a_backend_that_responds_is_healthy(client: TestClient, part: str, backend: str) -> None:
    body = client.get(f"/health/{part}").json()
    assert body["status"] == "healthy"
    assert body["message"].startswith("1 of 1 backends")
    assert body["details"] == {"backends": {backend: {"ready": True}}}


@pytest.mark.parametrize(("url", "status"), [("", "unhealthy"), ("http://127.0.0.1:9/v1", "healthy")])
def test_the_language_model_is_healthy_if_one_is_configured(tones_settings: Settings, url: str, status: str) -> None:
    settings = tones_settings.model_copy(update={"llm_base_url": url})
    with TestClient(create_app(settings, local_engine(settings))) as client:
        assert client.get("/health/llm").json()["status"] == status
        assert client.get("/health/ready").json() == {"ready": True, "llm": bool(url), "stt": True, "tts": True}


def test_a_server_that_starts_is_alive_and_not_ready(tones_settings: Settings) -> None:
    with TestClient(create_app(tones_settings)) as client:
        assert (client.get("/health/live").status_code, client.get("/health/live").json()) == (200, {"status": "alive"})
        for part in ("stt", "tts", "ready"):
            answer = client.get(f"/health/{part}")
            assert (answer.status_code, answer.json().keys()) == (503, {"detail"})


def test_a_server_that_stops_is_not_ready(tones_settings: Settings) -> None:
    engine = local_engine(tones_settings)
    with TestClient(create_app(tones_settings, engine)) as client:
        engine.pool.admission.close()
        answer = client.get("/health/ready")
        assert (answer.status_code, answer.json()["ready"], answer.json()["stt"]) == (503, False, True)


@pytest.mark.parametrize(
    ("ready", "status"), [((True, True), "healthy"), ((True, False), "degraded"), ((False, False), "unhealthy"), ((), "unhealthy")]
)
def test_a_part_is_as_healthy_as_its_backends(engine: Engine, ready: tuple[bool, ...], status: str) -> None:
    registry, pool = engine.registry, engine.pool
    names = [f"b{number}" for number in range(len(ready))]
    copies = {name: replace(registry.backends["tones-stt"], name=name) for name in names}
    before = registry.backends
    registry.backends = before | copies
    try:
        states: Any = {name: {"ready": is_ready} for name, is_ready in zip(names, ready, strict=True)}
        assert component(pool, states, Task.STT, is_detailed=True).status == status
    finally:
        registry.backends = before


def test_without_a_key_no_backend_is_named(guarded: Callable[..., Settings]) -> None:
    settings = guarded()
    with TestClient(create_app(settings, local_engine(settings))) as client:
        for part in ("llm", "stt", "tts", "ready", "live"):
            answer = client.get(f"/health/{part}")
            assert answer.status_code == 200
            assert "tones" not in answer.text
        assert "tones-stt" in client.get("/health/stt", headers={"X-Our-Key": "sesame"}).text
