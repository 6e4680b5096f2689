"""Without a key nothing but health and the pages answers: every route of the app, by every method, in every spelling of its path."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from fastapi.routing import iter_route_contexts
from starlette.testclient import TestClient

from benchmarks.served import Served, serve
from open_speech.app import create_app
from open_speech.config import Settings
from runners.wiring.engine import local_engine
from tests.waiting import PATIENCE_S

OPEN = (
    "/", "/health", "/healthz", "/healthcheck", "/livez", "/readyz", "/docs", "/openapi.json", "/web", "/web/x", "/scalar", "/docs/scalar",
    "/docs/scalar/api-reference.js", *(f"/health/{part}" for part in ("llm", "stt", "tts", "ready", "live")),
)  # fmt: skip
"""All that answers without a key. A path that is added here is given to everybody."""
LISTS = ("/v1/models", "/v1/audio/models", "/v1/audio/voices", "/api/voice-presets", "/bazarr/models")
ONE_MODEL = "/v1/models/x"
"""An entry of the first list, opened with it."""
"""What else OS_PUBLIC_LISTS opens, for reading."""
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW")
UPGRADE = {
    "Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}  # fmt: skip
NO_KEYS: tuple[dict[str, str], ...] = (
    {}, {"Authorization": "Bearer "}, {"Authorization": "Bearer wrong"}, {"X-API-Key": ""}, {"Authorization": "sesame"},
    {"Authorization": "Basic ====", "Cookie": "key=sesame"},
)  # fmt: skip
INNER = ("/schema.json", "/docs.json", "/static_content/x", "/v1/models%0a", "/%0a", "*", "/ui", "/assets/x")
"""What the server around the app would answer itself."""


def paths(settings: Settings) -> list[str]:
    """List the paths of all routes of the app, WebSockets included, with `x` for what is named in them."""
    found = {context.path for context in iter_route_contexts(create_app(settings).router.routes) if context.path}
    assert {
        "/v1/realtime",
        "/v1/audio/stream",
        "/v1/audio/transcriptions/stream",
        "/v1/audio/speech/stream",
        "/metrics",
        "/v1/audio/speech",
    } <= found
    return sorted(re.sub(r"\{[^}]*\}", "x", path) for path in found)


def spellings(path: str) -> Iterator[str]:
    """Write a path as it may be written to slip past who compares it."""
    yield from (f"/{path}", f"{path}/", f"{path}//", f"/.{path}", f"{path}/.", f"/web/..{path}", f"/web/%2e%2e{path}", f"/health/..{path}")
    yield from (f"{path}%2f", f"{path}%00", f"{path}%0a", f"{path}%20", f"{path};/health", f"{path}?/health", f"{path}#/health")
    yield from (path.upper(), f"http://localhost{path}", path[:1] + f"%{ord(path[1]):02x}" + path[2:] if len(path) > 1 else "/%2f")


class Stranger:
    """A client that has no key, and writes requests as it likes."""

    def __init__(self, url: str) -> None:
        self._connection = HTTPConnection(urlsplit(url).netloc, timeout=PATIENCE_S)

    def close(self) -> None:
        self._connection.close()

    def asks(self, method: str, path: str, headers: dict[str, str] | None = None) -> int:
        """Give the status of the answer; 400 where the server takes it for no request at all."""
        try:
            self._connection.request(method, path, headers=headers or {})
            answer = self._connection.getresponse()
            answer.read()
        except (HTTPException, ConnectionError):
            self._connection.close()
            return 400
        if answer.status == 101 or answer.will_close:
            self._connection.close()
        return answer.status


@pytest.fixture(scope="module")
def stranger(tones_upstream: str) -> Iterator[Stranger]:
    with closing(Stranger(tones_upstream)) as stranger:
        yield stranger


def told(stranger: Stranger, method: str, path: str, headers: dict[str, str] | None = None) -> list[str]:
    """Say what was answered that should have been refused."""
    status = stranger.asks(method, path, headers)
    return [] if status in (400, 401) else [f"{method} {path}: {status}"]


def test_no_route_answers_any_method(stranger: Stranger, tones_settings: Settings) -> None:
    closed = [path for path in paths(tones_settings) if path not in OPEN]
    assert len(closed) > 30
    assert [fault for path in closed for method in METHODS for fault in told(stranger, method, path)] == []


def test_no_route_answers_by_another_spelling(stranger: Stranger, tones_settings: Settings) -> None:
    # The folder of the web page is open; what is not in it is not found, whatever follows.
    spelled = [spelling for path in paths(tones_settings) if path not in OPEN for spelling in spellings(path)]
    faults = [fault for spelling in spelled for method in ("GET", "POST") for fault in told(stranger, method, spelling)]
    assert [fault for fault in faults if not re.match(r"\w+ /web/.*: 40[45]$", fault)] == []


def test_no_route_opens_a_websocket(stranger: Stranger, tones_settings: Settings) -> None:
    closed = [path for path in paths(tones_settings) if path not in OPEN]
    refused = {path: stranger.asks("GET", path, UPGRADE) for path in closed}
    assert {path: status for path, status in refused.items() if status not in (401, 403)} == {}


@pytest.mark.parametrize("headers", NO_KEYS)
def test_what_is_no_key_opens_nothing(stranger: Stranger, headers: dict[str, str]) -> None:
    assert [fault for path in ("/v1/models", "/v1/audio/speech", "/metrics") for fault in told(stranger, "GET", path, headers)] == []


def test_a_key_in_the_url_opens_nothing(stranger: Stranger) -> None:
    queries = ("api_key=sesame", "key=sesame", "token=sesame", "authorization=Bearer%20sesame")
    assert [fault for query in queries for fault in told(stranger, "GET", f"/v1/models?{query}")] == []


def test_what_is_open_only_reads(stranger: Stranger) -> None:
    answered = {f"{method} {path}": stranger.asks(method, path) for path in OPEN for method in ("POST", "PUT", "PATCH", "DELETE")}
    assert {asked: status for asked, status in answered.items() if status not in (404, 405)} == {}


@pytest.mark.served
def test_under_bentoml_nothing_else_answers_either(keyed_server: Served, tones_settings: Settings) -> None:
    with closing(Stranger(keyed_server.url)) as stranger:
        closed = [path for path in (*paths(tones_settings), *INNER) if path not in OPEN]
        faults = [fault for path in closed for method in ("GET", "POST", "OPTIONS") for fault in told(stranger, method, path)]
        assert faults == []
        assert {stranger.asks("GET", path, UPGRADE) for path in closed if path.startswith("/v1/")} <= {401, 403}
        assert stranger.asks("GET", "/livez") == 200


def test_public_lists_are_read_and_nothing_more(tones_settings: Settings) -> None:
    settings = tones_settings.model_copy(update={"os_api_key": "sesame", "os_public_lists": True})
    with TestClient(create_app(settings, local_engine(settings))) as client:
        answers = {f"{method} {path}": client.request(method, path).status_code for path in LISTS for method in ("GET", "POST", "DELETE")}
        assert answers == {f"{method} {path}": 200 if method == "GET" else 401 for path in LISTS for method in ("GET", "POST", "DELETE")}
        closed = [path for path in paths(settings) if path not in (*OPEN, *LISTS, ONE_MODEL)]
        assert {client.get(path).status_code for path in closed} == {401}


@pytest.fixture(scope="module")
def keyed_server(tones: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    library: Path = tmp_path_factory.mktemp("library")
    with serve({**tones, "OS_API_KEY": "sesame", "OS_VOICE_LIBRARY_PATH": str(library)}) as served:
        yield served
