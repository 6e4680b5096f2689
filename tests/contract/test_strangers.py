"""Who has no key, and pages of others: every route and every door that the app has, so that a new one cannot be forgotten."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.routing import APIWebSocketRoute, iter_route_contexts
from starlette.testclient import TestClient, WebSocketDenialResponse
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from open_speech.app import create_app
from open_speech.config import Settings
from open_speech.http.middleware.auth import OPEN_PATHS, PUBLIC_LISTS
from runners.wiring.engine import local_engine
from tests.waiting import PATIENCE_S

FOREIGN = "http://evil.example"


def app_of(folder: Path, **values: Any) -> FastAPI:
    settings = Settings(
        os_models_dir=folder / "models", stt_backends=("tones-stt",), tts_backends=("tones-tts",), stt_model="tones/listen",
        tts_model="tones/speak", tts_voice="tone", os_offline=True, os_voice_library_path=folder / "voices", **values,
    )  # fmt: skip
    return create_app(settings, local_engine(settings))


def operations(app: FastAPI) -> set[tuple[str, str]]:
    """Every method and path of the document, with its placeholders filled."""
    paths = app.openapi()["paths"]
    return {(method.upper(), re.sub(r"\{[^}]*\}", "x", path)) for path, methods in paths.items() for method in methods}


def doors(app: FastAPI) -> list[str]:
    """The paths of all WebSockets."""
    routes = iter_route_contexts(app.router.routes)
    found = {str(route.path) for route in routes if isinstance(route.original_route, APIWebSocketRoute)}
    assert len(found) >= 3
    return sorted(found)


def test_without_a_key_nothing_answers_but_probes_and_where_allowed_lists(tmp_path: Path) -> None:
    for public in (False, True):
        app = app_of(tmp_path, os_api_key="sesame", os_public_lists=public)
        client = TestClient(app, raise_server_exceptions=False)
        answered = {path for method, path in operations(app) if client.request(method, path).status_code != 401}
        assert answered <= OPEN_PATHS | (PUBLIC_LISTS | {"/v1/models/x"} if public else set())
        assert answered >= {"/health"} | (PUBLIC_LISTS if public else set())
        assert "tones" not in client.get("/health").text


def test_without_a_key_no_websocket_opens(tmp_path: Path) -> None:
    app = app_of(tmp_path, os_api_key="sesame", os_public_lists=True)
    client = TestClient(app)
    for path in doors(app):
        for query in ("", "?api_key=sesame"):
            with pytest.raises(WebSocketDenialResponse) as refused, client.websocket_connect(path + query):
                raise AssertionError(f"{path} let us in")
            assert refused.value.status_code == 401


@pytest.mark.parametrize(
    ("values", "headers", "welcome"),
    [
        ({}, {"Origin": FOREIGN}, False),
        ({"os_cors_origins": ("*",)}, {"Origin": FOREIGN}, False),
        ({"os_cors_origins": (FOREIGN,)}, {"Origin": FOREIGN}, True),
        ({"os_ws_allowed_origins": ("*",)}, {"Origin": FOREIGN}, True),
        ({"os_api_key": "sesame"}, {"Origin": FOREIGN, "Authorization": "Bearer sesame"}, True),
        ({}, {}, True),
    ],
)
def test_a_page_of_somebody_else_opens_a_websocket_only_with_a_key_or_where_that_is_said(
    serving: Callable[[FastAPI], AbstractContextManager[str]],
    tmp_path: Path,
    values: dict[str, Any],
    headers: dict[str, str],
    welcome: bool,
) -> None:
    app = app_of(tmp_path, **values)
    with serving(app) as url:
        for path in doors(app):
            query = "?model=tones/listen&sample_rate=16000"
            with connect(url.replace("http", "ws") + path + query, additional_headers=headers) as door:
                if welcome:
                    with suppress(ConnectionClosed):  # one that refuses its path has said so already
                        door.send("{}")  # no message of any door: who is let in is told so
                first = json.loads(door.recv(timeout=PATIENCE_S))
                refused = "OS_WS_ALLOWED_ORIGINS" in json.dumps(first)
                assert refused is not welcome, (path, first)
                if refused:
                    with pytest.raises(ConnectionClosed) as closed:
                        door.recv(timeout=PATIENCE_S)
                    assert closed.value.rcvd is not None
                    assert closed.value.rcvd.code == 1008


def test_a_page_whose_name_leads_here_opens_no_websocket(tmp_path: Path) -> None:
    app = app_of(tmp_path)
    client = TestClient(app)
    for path in doors(app):
        with pytest.raises(WebSocketDenialResponse) as refused, client.websocket_connect(f"ws://evil.example{path}"):
            raise AssertionError(f"{path} let us in")
        assert refused.value.status_code == 403


def test_no_answer_shows_the_key(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    app = app_of(tmp_path, os_api_key="ann:open-sesame", os_rate_limit=1)
    client = TestClient(app, raise_server_exceptions=False)
    with caplog.at_level("DEBUG"):
        for key in ("open-sesame", "open-sesame", "close-sesame"):
            answer = client.post("/v1/audio/speech?api_key=open-sesame", json={"input": 1}, headers={"api-key": key})
            assert "sesame" not in answer.text + str(answer.headers)
    assert "sesame" not in "".join(record.getMessage() for record in caplog.records if record.name.startswith("open_speech"))
