from __future__ import annotations

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient, WebSocketDenialResponse
from starlette.websockets import WebSocket

from open_speech.http.caller import Proxies
from open_speech.http.middleware.auth import ApiKey
from open_speech.http.middleware.rate_limit import RateLimit, duration
from open_speech.security.api_keys import KeyRing
from open_speech.shared_state.allowances import LocalAllowances, Rate


@pytest.mark.parametrize(
    ("seconds", "written"),
    [
        (0, "0ms"), (0.0201, "21ms"), (0.25, "250ms"), (1, "1s"), (1.2, "2s"), (59.5, "1m0s"), (360, "6m0s"), (3600, "1h0m0s"),
        (90_061, "25h1m1s"),
    ],
)  # fmt: skip
def test_durations_are_written_as_openai_does(seconds: float, written: str) -> None:
    assert duration(seconds) == written


async def hello(_request: Request) -> PlainTextResponse:
    return PlainTextResponse("hello")


async def talk(socket: WebSocket) -> None:
    await socket.accept()
    await socket.send_text("hello")
    await socket.close()


def client_of(*middleware: Middleware) -> TestClient:
    paths = ("/v1/x", "/health", "/web/js/app.js", "/v1/models")
    return TestClient(Starlette(routes=[*(Route(path, hello) for path in paths), WebSocketRoute("/live", talk)], middleware=middleware))


def test_every_answer_says_what_is_left_and_the_last_when_to_come_back() -> None:
    client = client_of(Middleware(RateLimit, allowances=LocalAllowances(Rate.of(2))))
    answers = [client.get("/v1/x") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert [answer.headers["x-ratelimit-remaining-requests"] for answer in answers] == ["1", "0", "0"]
    assert {answer.headers["x-ratelimit-limit-requests"] for answer in answers} == {"2"}
    assert answers[0].headers["x-ratelimit-reset-requests"] == "30s"
    assert 28 <= int(answers[2].headers["retry-after"]) <= 30
    error = answers[2].json()["error"]
    assert (error["type"], error["code"], error["param"]) == ("requests", "rate_limit_exceeded", None)


def test_a_websocket_counts_when_it_is_opened() -> None:
    client = client_of(Middleware(RateLimit, allowances=LocalAllowances(Rate.of(1))))
    with client.websocket_connect("/live") as socket:
        assert socket.receive_text() == "hello"
    with pytest.raises(WebSocketDenialResponse) as refused, client.websocket_connect("/live"):
        raise AssertionError("it let us in")
    assert (refused.value.status_code, refused.value.headers["x-ratelimit-limit-requests"]) == (429, "1")


def test_probes_the_page_and_lists_are_free() -> None:
    client = client_of(Middleware(RateLimit, allowances=LocalAllowances(Rate.of(1))))
    for path in ("/health", "/web/js/app.js", "/v1/models") * 3:
        answer = client.get(path)
        assert answer.status_code == 200
        assert "x-ratelimit-limit-requests" not in answer.headers


def test_each_key_and_each_address_behind_a_proxy_has_its_own() -> None:
    keys = Middleware(ApiKey, keys=KeyRing.read("ann:sesame,bob:open"))
    client = client_of(keys, Middleware(RateLimit, allowances=LocalAllowances(Rate.of(1))))
    assert [client.get("/v1/x", headers={"api-key": key}).status_code for key in ("sesame", "open", "sesame")] == [200, 200, 429]
    client = client_of(Middleware(RateLimit, allowances=LocalAllowances(Rate.of(1)), proxies=Proxies(1)))
    sent = ("6.6.6.6, 1.1.1.1", "6.6.6.6, 1.1.1.2", "7.7.7.7, 1.1.1.1")
    assert [client.get("/v1/x", headers={"X-Forwarded-For": value}).status_code for value in sent] == [200, 200, 429]
