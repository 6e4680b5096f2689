from __future__ import annotations

from collections.abc import Collection

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient, WebSocketDenialResponse
from starlette.websockets import WebSocket

from open_speech.http.middleware.origins import OriginCheck, is_own_host


async def hello(_request: Request) -> PlainTextResponse:
    return PlainTextResponse("hello")


async def talk(socket: WebSocket) -> None:
    await socket.accept()
    await socket.close()


def client_of(origins: Collection[str] | None, hosts: Collection[str] | None) -> TestClient:
    routes = [Route("/x", hello, methods=["GET", "POST"]), WebSocketRoute("/live", talk)]
    return TestClient(Starlette(routes=routes, middleware=[Middleware(OriginCheck, origins=origins, hosts=hosts)]))


@pytest.mark.parametrize(
    ("host", "names", "ours"),
    [
        ("127.0.0.1:8100", (), True),
        ("localhost", (), True),
        ("[::1]:8100", (), True),
        ("nas:8100", (), True),
        ("evil.example:8100", (), False),
        ("evil.example", ("*",), True),
        ("a.example:8100", ("a.example",), True),
        ("b.a.example", ("a.example",), False),
        ("b.a.example", ("*.a.example",), True),
        ("nota.example", ("*.a.example",), False),
    ],
)
def test_a_name_is_ours_if_it_is_listed_or_nobody_can_own_it(host: str, names: tuple[str, ...], ours: bool) -> None:
    assert is_own_host(host, names) is ours


def test_a_page_that_has_its_name_lead_here_reaches_nothing() -> None:
    client = client_of((), ())
    evil = {"Host": "evil.example:8100", "Origin": "http://evil.example:8100"}
    for method in ("GET", "POST"):
        answer = client.request(method, "/x", headers=evil)
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "not_welcome")
    with pytest.raises(WebSocketDenialResponse) as refused, client.websocket_connect("ws://evil.example/live", headers=evil):
        raise AssertionError("it let us in")
    assert refused.value.status_code == 403


@pytest.mark.parametrize(
    ("origin", "origins", "status"),
    [
        (None, (), 200),
        ("http://testserver", (), 200),
        ("http://other.example", (), 403),
        ("null", (), 403),
        ("http://other.example", ("http://other.example",), 200),
        ("http://other.example", ("*",), 200),
        ("http://other.example", None, 200),
    ],
)
def test_only_welcome_pages_may_send(origin: str | None, origins: tuple[str, ...] | None, status: int) -> None:
    headers = {"Origin": origin} if origin else {}
    client = client_of(origins, None)
    assert client.post("/x", headers=headers).status_code == status
    assert client.get("/x", headers=headers).status_code == 200
