from __future__ import annotations

from collections.abc import Iterator

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from open_speech.api.health import AppFirst
from open_speech.app import create_app
from open_speech.config import Settings
from open_speech.engine import Engine
from runners.wiring.engine import local_engine

HEALTH = ("/health", "/healthz", "/healthcheck")


@pytest.fixture
def engine(tones_settings: Settings) -> Engine:
    return local_engine(tones_settings)


@pytest.fixture
def client(tones_settings: Settings, engine: Engine) -> Iterator[TestClient]:
    with TestClient(create_app(tones_settings, engine)) as client:
        yield client


@pytest.mark.parametrize("path", HEALTH)
def test_health_tells_how_each_backend_is_under_each_of_its_names(client: TestClient, path: str) -> None:
    told = client.get(path).json()
    assert (told["status"], told["turn_detector"]) == ("ok", "timer")
    assert {name: state["ready"] for name, state in told["backends"].items()} == {"tones-stt": True, "tones-tts": True}
    assert client.head(path).status_code == 200


def test_a_server_that_has_just_begun_lives_and_is_not_ready(tones_settings: Settings) -> None:
    with TestClient(create_app(tones_settings)) as client:
        assert client.get("/livez").json() == {"status": "ok"}
        assert (client.get("/readyz").status_code, client.get("/readyz").json()) == (503, {"status": "starting"})
        assert client.get("/health").status_code == 503
        assert client.get("/metrics").status_code == 200


def test_readiness_tells_the_state_of_each_backend(client: TestClient) -> None:
    answer = client.get("/readyz")
    assert answer.status_code == 200
    assert answer.json() == {
        "status": "ready",
        "backends": {"tones-stt": {"ready": True, "where": "inproc"}, "tones-tts": {"ready": True, "where": "inproc"}},
    }


def test_a_server_that_stops_lives_and_is_not_ready(client: TestClient, engine: Engine) -> None:
    engine.pool.admission.close()
    assert (client.get("/readyz").status_code, client.get("/readyz").json()["status"]) == (503, "stopping")
    assert client.get("/livez").status_code == 200


def test_a_task_without_a_backend_that_answers_is_not_ready(tones_settings: Settings, engine: Engine) -> None:
    del engine.pool.clients["tones-tts"]
    engine.registry.served.pop("tones-tts")
    with TestClient(create_app(tones_settings, engine)) as client:
        assert client.get("/readyz").json()["status"] == "ready"
    engine.pool.clients.clear()
    with TestClient(create_app(tones_settings, engine)) as client:
        assert (client.get("/readyz").status_code, client.get("/readyz").json()["status"]) == (503, "waiting for a backend")


def test_a_stranger_is_told_the_state_and_no_names(tones_settings: Settings, engine: Engine) -> None:
    settings = tones_settings.model_copy(update={"os_api_key": "sesame"})
    with TestClient(create_app(settings, engine)) as client:
        for path in (*HEALTH, "/livez", "/readyz"):
            answer = client.get(path)
            assert answer.status_code == 200
            assert "backends" not in answer.json()
        known = client.get("/readyz", headers={"Authorization": "Bearer sesame"})
        assert set(known.json()["backends"]) == {"tones-stt", "tones-tts"}


def test_every_request_goes_to_our_app_and_none_to_the_server_around_it() -> None:
    async def name(request: Request) -> PlainTextResponse:
        return PlainTextResponse(str(request.app.state.name))

    apps = {}
    for title in ("ours", "theirs"):
        apps[title] = Starlette(routes=[Route("/{path:path}", name)])
        apps[title].state.name = title
    client = TestClient(AppFirst(apps["theirs"], apps["ours"]))
    assert {client.get(path).text for path in ("/livez", "/schema.json", "/metrics", "/v1/x")} == {"ours"}
