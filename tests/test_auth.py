from __future__ import annotations

from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient, WebSocketDenialResponse
from starlette.websockets import WebSocket

from open_speech.auth import ApiKey, presented_keys


async def hello(_request: Request) -> PlainTextResponse:
    return PlainTextResponse("hello")


async def talk(socket: WebSocket) -> None:
    await socket.accept()
    await socket.send_text("hello")
    await socket.close()


@pytest.fixture
def client() -> TestClient:
    routes = [Route("/v1/x", hello), Route("/health", hello), WebSocketRoute("/live", talk)]
    return TestClient(Starlette(routes=routes, middleware=[Middleware(ApiKey, key="sésame")]))


@pytest.mark.parametrize(
    ("headers", "keys"),
    [
        ({"Authorization": "Bearer abc"}, ["abc"]),
        ({"authorization": "bearer  abc "}, ["abc"]),
        ({"Authorization": "Basic abc"}, []),
        ({"Authorization": "Bearer "}, []),
        ({"X-API-Key": "abc"}, ["abc"]),
        ({"api-key": "abc", "Authorization": "Bearer def"}, ["def", "abc"]),
        ({"Sec-WebSocket-Protocol": "realtime, openai-insecure-api-key.abc"}, ["abc"]),
        ({}, []),
    ],
)
def test_keys_are_found_wherever_clients_put_them(headers: dict[str, str], keys: list[str]) -> None:
    assert presented_keys(Headers(headers)) == keys


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer wrong"}, {b"api-key": "sésam".encode()}])
def test_a_missing_or_wrong_key_is_refused(client: TestClient, headers: Any) -> None:
    answer = client.get("/v1/x", headers=headers)
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
    assert answer.json()["error"]["code"] == "invalid_api_key"
    assert "sésame" not in answer.text


def test_a_right_key_passes_in_any_place(client: TestClient) -> None:
    key = "sésame".encode()
    for name, value in ((b"authorization", b"Bearer " + key), (b"x-api-key", key), (b"api-key", key)):
        assert client.get("/v1/x", headers={name: value}).text == "hello"
    both = {b"authorization": b"Bearer other", b"api-key": key}
    assert client.get("/v1/x", headers=both).text == "hello"


def test_health_needs_no_key(client: TestClient) -> None:
    assert client.get("/health").text == "hello"


def test_a_websocket_needs_the_key_too(client: TestClient) -> None:
    with pytest.raises(WebSocketDenialResponse) as refused, client.websocket_connect("/live"):
        raise AssertionError("it let us in")
    assert refused.value.status_code == 401
    with client.websocket_connect("/live", headers={b"api-key": "sésame".encode()}) as socket:
        assert socket.receive_text() == "hello"
