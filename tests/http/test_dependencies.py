from __future__ import annotations

import pytest
from starlette.testclient import TestClient

from open_speech.app import create_app
from open_speech.config import Settings


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/v1/models"), ("GET", "/health"), ("POST", "/v1/audio/transcriptions"), ("POST", "/v1/audio/speech")]
)
def test_every_route_says_that_the_server_is_starting(settings: Settings, method: str, path: str) -> None:
    answer = TestClient(create_app(settings)).request(
        method, path, json={"model": "tts-1", "input": "Hello."} if method == "POST" else None
    )
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "backend_unavailable")
    assert answer.headers["retry-after"] == "1"
