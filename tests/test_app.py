from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from _bentoml_impl.server.mount import PassiveMount
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from open_speech.app import create_app
from open_speech.config import Settings
from runners.wiring.engine import local_engine

JSON = {"model": "tts-1", "input": "Hello."}


def make_settings(folder: Path, **values: Any) -> Settings:
    return Settings(
        os_models_dir=folder, stt_backends=("tones-stt",), tts_backends=("tones-tts",), stt_model="tones/listen",
        tts_model="tones/speak", tts_voice="tone", os_offline=True, **values,
    )  # fmt: skip


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return make_settings(tmp_path)


@pytest.fixture
def app(settings: Settings) -> FastAPI:
    return create_app(settings, local_engine(settings))


@pytest.fixture
def client(app: FastAPI) -> TestClient:
    return TestClient(app, follow_redirects=False)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/health", 200),
        ("GET", "/nowhere", 404),
        ("DELETE", "/health", 405),
        ("POST", "/v1/audio/speech", 400),
        ("POST", "/v1/audio/transcriptions", 400),
        ("GET", "/v1/models/nobody", 404),
    ],
)
def test_every_answer_has_openai_headers(client: TestClient, method: str, path: str, status: int) -> None:
    answer = client.request(method, path)
    assert answer.status_code == status
    assert re.fullmatch(r"req_[0-9a-f]{32}", answer.headers["x-request-id"])
    assert int(answer.headers["openai-processing-ms"]) >= 0
    assert answer.headers["openai-version"] == "2020-10-01"


@pytest.mark.parametrize(
    ("method", "path"), [("POST", "/v1/x"), ("GET", "/v1"), ("GET", "/a/b/c"), ("POST", "/v1/audio/speech/"), ("BREW", "/tea")]
)
def test_an_unknown_path_is_named(client: TestClient, method: str, path: str) -> None:
    answer = client.request(method, path)
    assert answer.status_code == 404
    assert answer.json() == {
        "error": {"message": f"Invalid URL ({method} {path})", "type": "invalid_request_error", "param": None, "code": None}
    }


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [("PUT", "/v1/models", "GET"), ("GET", "/v1/audio/speech", "POST"), ("DELETE", "/v1/models/a/b", "GET"), ("BREW", "/health", "GET")],
)
def test_a_wrong_method_is_told_the_right_one(client: TestClient, method: str, path: str, allow: str) -> None:
    answer = client.request(method, path)
    assert (answer.status_code, answer.headers["allow"]) == (405, allow)
    assert answer.json()["error"]["code"] == "method_not_supported"


def test_under_bentoml_unknown_paths_come_to_the_app_and_its_own_do_not(app: FastAPI) -> None:
    probe = Route("/livez", lambda _request: PlainTextResponse("alive"))
    client = TestClient(Starlette(routes=[probe, PassiveMount("/", app)]))
    assert client.get("/livez").text == "alive"
    assert client.post("/v1/x").json()["error"]["message"] == "Invalid URL (POST /v1/x)"
    assert client.put("/v1/models").status_code == 405
    assert client.post("/v1/audio/speech", json=JSON).status_code == 200
    assert "x-request-id" in client.get("/v1/models/tones/speak").headers


def test_health_tells_the_version_and_the_backends(client: TestClient) -> None:
    body = client.get("/health").json()
    assert body["status"] == "ok"
    assert {"where": "inproc", "ready": True, "loaded": {}}.items() <= body["backends"]["tones-tts"].items()


def test_the_engine_may_come_with_the_lifespan(settings: Settings) -> None:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.engine = local_engine(settings)
        yield

    app = create_app(settings, lifespan=lifespan)
    early = TestClient(app).get("/health")
    assert (early.status_code, early.json()["error"]["code"], early.headers["retry-after"]) == (503, "backend_unavailable", "1")
    with TestClient(app) as client:
        assert client.get("/health").status_code == 200


def test_with_a_key_pages_may_call_from_anywhere_and_read_the_request_id(tmp_path: Path) -> None:
    settings = make_settings(tmp_path, os_api_key="sesame")
    client = TestClient(create_app(settings, local_engine(settings)))
    asked = {"Origin": "http://a.example", "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
    preflight = client.options("/v1/audio/speech", headers=asked)
    assert (preflight.status_code, preflight.headers["access-control-allow-origin"]) == (200, "*")
    assert "authorization" in preflight.headers["access-control-allow-headers"].lower()
    answer = client.get("/v1/models", headers={"Origin": "http://a.example"})
    assert answer.status_code == 401
    assert "x-request-id" in answer.headers["access-control-expose-headers"]
    assert client.post("/v1/audio/speech", json=JSON, headers={"Origin": "http://a.example", "api-key": "sesame"}).status_code == 200


def test_without_a_key_pages_of_others_are_told_nothing_and_may_send_nothing(client: TestClient) -> None:
    page = {"Origin": "http://a.example"}
    assert "access-control-allow-origin" not in client.get("/v1/models", headers=page).headers
    refused = client.post("/v1/audio/speech", json=JSON, headers=page)
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "not_welcome")
    assert client.post("/v1/audio/speech", json=JSON, headers={"Origin": "http://testserver"}).status_code == 200
    assert client.get("/v1/models", headers={"Host": "evil.example"}).status_code == 403


def test_without_a_key_a_server_for_more_than_this_machine_takes_any_name(tmp_path: Path) -> None:
    for values, status in (({"os_host": "0.0.0.0"}, 200), ({"os_host": "0.0.0.0", "os_allowed_hosts": "a.example"}, 403)):
        settings = make_settings(tmp_path, **values)
        client = TestClient(create_app(settings, local_engine(settings)))
        assert client.get("/v1/models", headers={"Host": "speech.example"}).status_code == status


def test_a_rate_limit_holds_for_each_key(tmp_path: Path) -> None:
    settings = make_settings(tmp_path, os_api_key="ann:sesame,bob:open", os_rate_limit=2)
    client = TestClient(create_app(settings, local_engine(settings)))
    sent = ("sesame", "sesame", "sesame", "open", "wrong")
    answers = [client.post("/v1/audio/speech", json=JSON, headers={"api-key": key}) for key in sent]
    assert [answer.status_code for answer in answers] == [200, 200, 429, 200, 401]
    assert answers[2].headers["x-request-id"]
    assert [client.get("/v1/models", headers={"api-key": "sesame"}).status_code for _ in range(3)] == [200] * 3


def test_origins_can_be_limited(tmp_path: Path) -> None:
    settings = make_settings(tmp_path, os_cors_origins="http://a.example")
    client = TestClient(create_app(settings, local_engine(settings)))
    good, bad = (client.get("/v1/models", headers={"Origin": f"http://{name}.example"}).headers for name in "ab")
    assert good["access-control-allow-origin"] == "http://a.example"
    assert "access-control-allow-origin" not in bad


def test_a_key_guards_the_api_and_leaves_health_and_docs_open(tmp_path: Path) -> None:
    settings = make_settings(tmp_path, os_api_key="sesame")
    client = TestClient(create_app(settings, local_engine(settings)), follow_redirects=False)
    assert [client.get(path).status_code for path in ("/health", "/docs", "/openapi.json", "/")] == [200, 200, 200, 307]
    assert "backends" not in client.get("/health").json()
    assert "backends" in client.get("/health", headers={"api-key": "sesame"}).json()
    refused = client.post("/v1/audio/speech", json=JSON)
    assert (refused.status_code, refused.json()["error"]["code"]) == (401, "invalid_api_key")
    assert "x-request-id" in refused.headers
    assert client.post("/v1/audio/speech", json=JSON, headers={"Authorization": "Bearer sesame"}).status_code == 200
    asked = {"Origin": "http://a.example", "Access-Control-Request-Method": "POST"}
    assert client.options("/v1/audio/speech", headers=asked).status_code == 200


def test_an_upload_over_the_limit_is_refused(tmp_path: Path) -> None:
    settings = make_settings(tmp_path, os_max_upload_mb=1)
    client = TestClient(create_app(settings, local_engine(settings)))
    answer = client.post("/v1/audio/transcriptions", files={"file": bytes(2 << 20)}, data={"model": "whisper-1"})
    error = answer.json()["error"]
    assert (answer.status_code, error["type"], error["code"], error["param"]) == (413, "server_error", None, None)
    assert re.fullmatch(r"Maximum content size limit \(1048576\) exceeded \(\d+ bytes read\)", error["message"])


def test_the_document_describes_every_body(client: TestClient) -> None:
    document = client.get("/openapi.json")
    assert "$defs" not in document.text  # a reference into one schema cannot be followed from the document's root
    paths = document.json()["paths"]
    form = paths["/v1/audio/transcriptions"]["post"]["requestBody"]["content"]["multipart/form-data"]["schema"]
    assert form["required"] == ["file"]
    assert {"language", "timestamp_granularities", "chunking_strategy", "stream"} <= form["properties"].keys()
    assert "audio/mpeg" in paths["/v1/audio/speech"]["post"]["responses"]["200"]["content"]
    assert all("422" not in operation["responses"] for path in paths.values() for operation in path.values())
    assert "/{path}" not in paths
    assert client.get("/docs").headers["content-type"].startswith("text/html")
