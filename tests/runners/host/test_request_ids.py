from __future__ import annotations

from opentelemetry import propagate
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from open_speech import logs
from runners.host.request_ids import HEADER, Receiver, send_along


async def tell(_request: Request) -> PlainTextResponse:
    doing = logs.context()
    return PlainTextResponse(doing.id if doing else "nobody")


def test_a_call_carries_the_id_of_what_it_is_made_for_and_keeps_what_else_it_carried() -> None:
    before = set(propagate.get_global_textmap().fields)
    for _ in range(2):
        send_along()
    assert set(propagate.get_global_textmap().fields) == before | {HEADER}
    carried: dict[str, str] = {}
    with logs.on(logs.RequestContext("req_1")):
        propagate.inject(carried)
    assert carried[HEADER] == "req_1"
    carried.clear()
    propagate.inject(carried)
    assert HEADER not in carried


def test_a_runner_works_for_the_request_whose_id_came() -> None:
    client = TestClient(Starlette(routes=[Route("/", tell)], middleware=[Middleware(Receiver)]))
    assert client.get("/", headers={HEADER: "req_1"}).text == "req_1"
    assert client.get("/").text == "nobody"
    assert client.get("/", headers={HEADER: "x" * 1000}).text == "x" * 128
