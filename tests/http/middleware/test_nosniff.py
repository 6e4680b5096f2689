from __future__ import annotations

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient, WebSocketDenialResponse

from open_speech.http.middleware.auth import ApiKey
from open_speech.http.middleware.nosniff import NoSniff
from open_speech.security.api_keys import KeyRing


async def words(_request: Request) -> PlainTextResponse:
    return PlainTextResponse("<script>", headers={"X-Content-Type-Options": "nosniff"})


@pytest.fixture
def client() -> TestClient:
    middleware = [Middleware(NoSniff), Middleware(ApiKey, keys=KeyRing.read("k"))]
    return TestClient(Starlette(routes=[Route("/x", words)], middleware=middleware))


@pytest.mark.parametrize(("key", "status"), [("k", 200), ("", 401)])
def test_every_answer_is_what_it_says_once(client: TestClient, key: str, status: int) -> None:
    answer = client.get("/x", headers={"api-key": key})
    assert (answer.status_code, answer.headers.get_list("x-content-type-options")) == (status, ["nosniff"])


def test_so_is_the_answer_to_a_websocket_that_does_not_open(client: TestClient) -> None:
    with pytest.raises(WebSocketDenialResponse) as refused, client.websocket_connect("/x"):
        raise AssertionError("it let us in")
    assert refused.value.headers["x-content-type-options"] == "nosniff"
