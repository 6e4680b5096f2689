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
from open_speech.callers import KEY_NAME
from open_speech.guesses import LIMIT
from open_speech.keys import KeyRing


async def hello(request: Request) -> PlainTextResponse:
    return PlainTextResponse("hello", headers={"key-name": str(request.scope[KEY_NAME])})


async def talk(socket: WebSocket) -> None:
    await socket.accept()
    await socket.send_text("hello")
    await socket.close()


@pytest.fixture
def client() -> TestClient:
    lists = [Route(path, hello, methods=["GET", "POST"]) for path in ("/v1/models", "/v1/audio/voices")]
    routes = [Route("/v1/x", hello), Route("/health", hello), *lists, WebSocketRoute("/live", talk)]
    return TestClient(Starlette(routes=routes, middleware=[Middleware(ApiKey, keys=KeyRing.read("sésame, bob:open"))]))


@pytest.mark.parametrize(
    ("headers", "keys"),
    [
        ({"Authorization": "Bearer abc"}, ["abc"]),
        ({"authorization": "bearer  abc "}, ["abc"]),
        ({"Authorization": "Basic abc"}, []),
        ({"Authorization": "Basic YmF6YXJyOmFiYzpk"}, ["abc:d"]),  # bazarr:abc:d
        ({"Authorization": "basic YWJjOg=="}, ["abc"]),  # abc:
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


def test_each_key_opens_and_is_known_by_its_name(client: TestClient) -> None:
    sent = ({b"api-key": "sésame".encode()}, {b"api-key": b"open"}, {b"authorization": b"Basic Ym9iOm9wZW4="})
    assert [client.get("/v1/x", headers=headers).headers["key-name"] for headers in sent] == ["key-1", "bob", "bob"]


@pytest.mark.parametrize("query", ["api_key=open", "key=open", "token=open", "access_token=open"])
def test_a_key_in_the_url_is_none(client: TestClient, query: str) -> None:
    assert client.get(f"/v1/x?{query}").status_code == 401
    with pytest.raises(WebSocketDenialResponse), client.websocket_connect(f"/live?{query}"):
        raise AssertionError("it let us in")


def test_lists_are_open_only_where_they_are_said_to_be_and_only_for_reading() -> None:
    lists = [Route(path, hello, methods=["GET", "POST"]) for path in ("/v1/models", "/v1/audio/voices")]
    for public, status in ((False, 401), (True, 200)):
        client = TestClient(Starlette(routes=lists, middleware=[Middleware(ApiKey, keys=KeyRing.read("open"), public_lists=public)]))
        assert [client.get(path).status_code for path in ("/v1/models", "/v1/audio/voices")] == [status, status]
        assert [client.post(path).status_code for path in ("/v1/models", "/v1/audio/voices")] == [401, 401]
        assert client.get("/v1/models/").status_code == 401


def test_who_tries_many_keys_is_not_looked_at_for_a_while(client: TestClient) -> None:
    for n in range(LIMIT):
        assert client.get("/v1/x", headers={"api-key": f"guess-{n}"}).status_code == 401
    for key in ("another guess", "open"):
        answer = client.get("/v1/x", headers={"api-key": key})
        assert (answer.status_code, answer.json()["error"]["code"]) == (429, "too_many_wrong_keys")
        assert 50 <= int(answer.headers["retry-after"]) <= 60
    assert client.get("/v1/x").status_code == 401
    assert client.get("/health", headers={"api-key": "open"}).headers["key-name"] == "None"


def test_a_client_that_is_set_up_with_a_wrong_key_locks_nobody_out(client: TestClient) -> None:
    for _ in range(3 * LIMIT):
        assert client.get("/v1/x", headers={"api-key": "old"}).status_code == 401
    assert client.get("/v1/x", headers={"api-key": "open"}).status_code == 200


def test_guesses_at_an_open_path_count_as_well(client: TestClient) -> None:
    for n in range(LIMIT):
        assert client.get("/health", headers={"api-key": f"guess-{n}"}).status_code == 200
    assert client.get("/v1/x", headers={"api-key": "open"}).status_code == 429
