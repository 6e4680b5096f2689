from __future__ import annotations

import logging

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from open_speech.openai.trace import Trace, request_id


async def tell(_request: Request) -> PlainTextResponse:
    return PlainTextResponse(request_id.get())


async def fail(_request: Request) -> PlainTextResponse:
    raise RuntimeError("the password is swordfish")


async def leave(_request: Request) -> PlainTextResponse:
    raise ClientDisconnect


@pytest.fixture
def client() -> TestClient:
    routes = [Route("/tell", tell), Route("/fail", fail), Route("/leave", leave)]
    return TestClient(Starlette(routes=routes, middleware=[Middleware(Trace)]))


def test_the_request_id_is_known_to_all_below(client: TestClient) -> None:
    answer = client.get("/tell")
    assert answer.text == answer.headers["x-request-id"]


@pytest.mark.parametrize("name", ["abc-123", "req_0f", "0af7651916cd43dd8448eb211c80319c"])
def test_a_sane_request_id_is_kept(client: TestClient, name: str) -> None:
    assert client.get("/tell", headers={"X-Request-ID": name}).headers["x-request-id"] == name


@pytest.mark.parametrize("name", ["", "a b", "x" * 129, "a\tb", "<script>"])
def test_another_request_id_is_replaced(client: TestClient, name: str) -> None:
    assert client.get("/tell", headers={"X-Request-ID": name}).headers["x-request-id"].startswith("req_")


def test_an_unforeseen_failure_is_blank_for_the_client_and_whole_in_the_log(client: TestClient, caplog: pytest.LogCaptureFixture) -> None:
    answer = client.get("/fail")
    assert answer.status_code == 500
    error = answer.json()["error"]
    assert (error["type"], error["param"], error["code"]) == ("server_error", None, None)
    assert "swordfish" not in answer.text
    assert answer.headers["x-request-id"] in error["message"]
    assert "swordfish" in caplog.text
    assert answer.headers["x-request-id"] in caplog.text


def test_the_access_log_has_no_query_and_no_control_characters(client: TestClient, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "open_speech.access"):
        client.get("/tell%0aFORGED?api_key=swordfish", headers={"Authorization": "Bearer swordfish"})
    (line,) = [record.getMessage() for record in caplog.records if record.name == "open_speech.access"]
    assert "GET '/tell\\nFORGED' 404" in line
    assert "swordfish" not in line


def test_a_client_that_leaves_is_no_error(client: TestClient, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        client.get("/leave")
    mine = [record for record in caplog.records if record.name.startswith("open_speech")]
    assert [record.levelname for record in mine] == ["INFO"]
    assert "client left" in mine[0].getMessage()
