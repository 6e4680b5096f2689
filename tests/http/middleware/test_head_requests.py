from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.testclient import TestClient
from starlette.types import ASGIApp, Receive, Scope, Send

from open_speech.http.middleware.head_requests import HeadRequests

ended = asyncio.Event()


async def hello(_request: Request) -> PlainTextResponse:
    return PlainTextResponse("hello", headers={"ETag": "1"})


async def for_ever(_request: Request) -> StreamingResponse:
    async def events() -> AsyncGenerator[bytes, None]:
        try:
            while True:
                yield b"data: {}\n\n"
                await asyncio.sleep(0.01)
        finally:
            ended.set()

    return StreamingResponse(events(), media_type="text/event-stream")


class Outside:
    """Notes what somebody outside of HeadRequests sees."""

    seen: dict[str, str]

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send)
        if scope["type"] == "http":
            Outside.seen = {"method": scope["method"], "route": getattr(scope.get("route"), "path", "")}


@pytest.fixture
def client() -> TestClient:
    async def posted(_request: Request) -> Response:
        return Response(status_code=201)

    routes = [Route("/get/{name}", hello, methods=["GET"]), Route("/events", for_ever), Route("/post", posted, methods=["POST"])]
    return TestClient(Starlette(routes=routes, middleware=[Middleware(Outside), Middleware(HeadRequests)]))


def test_a_head_is_that_of_get_without_its_body(client: TestClient) -> None:
    got, head = client.get("/get/a"), client.head("/get/a")
    assert (head.status_code, head.content) == (200, b"")
    assert {name: head.headers[name] for name in ("etag", "content-length")} == {"etag": "1", "content-length": str(len(got.content))}


def test_who_stands_outside_sees_the_method_that_came_and_the_route_that_answered(client: TestClient) -> None:
    client.head("/get/a")
    assert Outside.seen == {"method": "HEAD", "route": "/get/{name}"}


def test_a_stream_ends_with_its_head(client: TestClient) -> None:
    ended.clear()
    assert client.head("/events").headers["content-type"].startswith("text/event-stream")
    assert ended.is_set()


def test_a_route_that_takes_no_get_takes_no_head(client: TestClient) -> None:
    assert client.head("/post").status_code == 405
    assert client.post("/post").status_code == 201
