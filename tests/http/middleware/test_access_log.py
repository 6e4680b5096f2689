from __future__ import annotations

import logging

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient, WebSocketDenialResponse
from starlette.websockets import WebSocket

from open_speech import logs
from open_speech.http.middleware.access_log import Trace
from open_speech.metrics.meter import Meter


async def tell(_request: Request) -> PlainTextResponse:
    doing = logs.context()
    assert doing is not None
    return PlainTextResponse(doing.id)


async def fail(_request: Request) -> PlainTextResponse:
    raise RuntimeError("the password is swordfish")


async def talk(socket: WebSocket) -> None:
    await socket.accept()
    if await socket.receive_text() == "fail":
        raise RuntimeError("the password is swordfish")
    await socket.close(4000)


async def refuse(socket: WebSocket) -> None:
    await socket.send_denial_response(PlainTextResponse("not you", 401))


async def leave(_request: Request) -> PlainTextResponse:
    raise ClientDisconnect


@pytest.fixture
def meter() -> Meter:
    return Meter()


@pytest.fixture
def client(meter: Meter) -> TestClient:
    routes = [
        Route("/tell", tell), Route("/tell/{name}", tell), Route("/fail", fail), Route("/leave", leave),
        WebSocketRoute("/v1/realtime", talk), WebSocketRoute("/v1/audio/stream", refuse),
    ]  # fmt: skip
    return TestClient(Starlette(routes=routes, middleware=[Middleware(Trace, meter=meter)]))


def counted(meter: Meter, name: str) -> dict[tuple[str, ...], float]:
    """Give the samples of one name, by the values of their labels in the order of the labels' names."""
    samples = (sample for family in meter.figures.registry.collect() for sample in family.samples if sample.name == name)
    return {tuple(value for _, value in sorted(sample.labels.items())): sample.value for sample in samples}


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
    assert "client disconnected" in mine[0].getMessage()


def test_requests_are_counted_by_route_and_never_by_path(client: TestClient, meter: Meter) -> None:
    for path in ("/tell/a", "/tell/b", "/nowhere/1", "/nowhere/2"):
        client.get(path)
    client.request("BREW", "/tell")
    assert counted(meter, "open_speech_http_requests_total") == {
        ("other", "GET", "/tell/{name}", "200"): 2, ("other", "GET", "other", "404"): 2, ("other", "other", "/tell", "405"): 1,
    }  # fmt: skip
    assert counted(meter, "open_speech_http_first_byte_seconds_count")[("other", "/tell/{name}")] == 2
    assert set(counted(meter, "open_speech_http_requests_under_way").values()) == {0}


def test_a_failure_and_a_client_that_leaves_are_counted_as_what_they_are(client: TestClient, meter: Meter) -> None:
    client.get("/fail")
    client.get("/leave")
    assert {labels[-1] for labels in counted(meter, "open_speech_http_requests_total")} == {"500", "400"}
    assert counted(meter, "open_speech_errors_total")[("server_error", "other")] == 1


def test_a_session_is_counted_while_it_lasts_and_has_a_line_when_it_ends(
    client: TestClient, meter: Meter, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "open_speech.access"):
        with client.websocket_connect("/v1/realtime?token=swordfish", headers={"X-Request-ID": "abc-123"}) as socket:
            assert counted(meter, "open_speech_sessions") == {("realtime",): 1}
            socket.send_text("bye")
            assert socket.receive()["code"] == 4000
    assert counted(meter, "open_speech_sessions") == {("realtime",): 0}
    assert counted(meter, "open_speech_sessions_begun_total") == {("realtime",): 1}
    (line,) = [record.getMessage() for record in caplog.records if record.name == "open_speech.access"]
    assert "WEBSOCKET '/v1/realtime' 4000" in line
    assert "swordfish" not in line


def test_a_session_that_is_refused_has_a_line_with_the_status_of_the_answer(
    client: TestClient, meter: Meter, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "open_speech.access"), pytest.raises(WebSocketDenialResponse):
        client.websocket_connect("/v1/audio/stream").__enter__()
    (line,) = [record.getMessage() for record in caplog.records if record.name == "open_speech.access"]
    assert "WEBSOCKET '/v1/audio/stream' 401" in line
    assert counted(meter, "open_speech_sessions_begun_total") == {}


def test_a_session_that_fails_is_in_the_log_and_over(client: TestClient, meter: Meter, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(RuntimeError), client.websocket_connect("/v1/realtime", headers={"X-Request-ID": "abc-123"}) as socket:
        socket.send_text("fail")
        socket.receive()
    assert "abc-123: connection failed" in caplog.text
    assert counted(meter, "open_speech_sessions") == {("realtime",): 0}
    assert counted(meter, "open_speech_errors_total") == {("server_error", "realtime"): 1}
