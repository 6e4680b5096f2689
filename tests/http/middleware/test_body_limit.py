from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import Message, Receive, Scope, Send

from open_speech.http.middleware.body_limit import JSON_BYTES, BodyLimit

LIMIT = 10


class Exchange:
    """Plays a client to a BodyLimit around an app: sends chunks, records what the app saw and what came back."""

    def __init__(self, *chunks: bytes, length: int | None = None) -> None:
        self.scope: Scope = {"type": "http", "method": "POST", "path": "/", "headers": []}
        if length is not None:
            self.scope["headers"] = [(b"content-length", str(length).encode())]
        self.messages = self._messages(chunks)
        self.sent: list[Message] = []
        self.unread_when_answered = -1
        self.app_read: list[bytes] = []

    @staticmethod
    def _messages(chunks: Iterable[bytes]) -> list[Message]:
        bodies = [{"type": "http.request", "body": chunk, "more_body": True} for chunk in chunks]
        return [*bodies, {"type": "http.request", "body": b"", "more_body": False}]

    async def receive(self) -> Message:
        return self.messages.pop(0) if self.messages else {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.unread_when_answered = len(self.messages)
        self.sent.append(message)

    async def app(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            async for chunk in Request(scope, receive).stream():
                self.app_read.append(chunk)
        except Exception:  # as FastAPI does with whatever breaks a body off
            await JSONResponse({"error": "unreadable"}, 400)(scope, receive, send)
            raise
        await JSONResponse({"ok": True})(scope, receive, send)

    def run(self, *, limit: int = LIMIT, wait_s: float = 30) -> tuple[int, Any]:
        limited = BodyLimit(self.app, max_bytes=limit, wait_s=wait_s, linger_s=0.05)
        asyncio.run(limited(self.scope, self.receive, self.send))
        body = b"".join(message.get("body", b"") for message in self.sent)
        assert [m["type"] for m in self.sent].count("http.response.start") == 1
        assert self.sent[-1].get("more_body", False) is False
        return self.sent[0]["status"], json.loads(body)


def test_a_body_at_the_limit_passes() -> None:
    exchange = Exchange(b"12345", b"67890", length=10)
    assert exchange.run() == (200, {"ok": True})
    assert b"".join(exchange.app_read) == b"1234567890"


def test_a_declared_length_over_the_limit_is_refused_before_anything_is_read() -> None:
    exchange = Exchange(b"x" * 11, length=11)
    status, body = exchange.run()
    assert status == 413
    assert body["error"] == {
        "message": "Maximum content size limit (10) exceeded (11 bytes read)", "type": "server_error", "param": None, "code": None,
    }  # fmt: skip
    assert exchange.app_read == []
    assert exchange.unread_when_answered == 2


def test_a_body_without_a_length_is_counted_while_it_is_read() -> None:
    exchange = Exchange(b"12345", b"67890", b"1", b"never seen by the app", b"nor this")
    status, body = exchange.run()
    assert (status, body["error"]["message"]) == (413, "Maximum content size limit (10) exceeded (11 bytes read)")
    assert b"".join(exchange.app_read) == b"1234567890"
    assert exchange.unread_when_answered == 3


def test_what_is_left_of_a_refused_body_is_read_so_that_the_client_sees_the_answer() -> None:
    exchange = Exchange(*[b"x" * 5] * 10)
    exchange.run()
    assert exchange.messages == []
    assert (b"connection", b"close") in [(name.lower(), value) for name, value in exchange.sent[0]["headers"]]


class Slow(Exchange):
    """A client that takes its time before each piece."""

    def __init__(self, *chunks: bytes, every_s: float) -> None:
        super().__init__(*chunks)
        self.every_s = every_s

    async def receive(self) -> Message:
        await asyncio.sleep(self.every_s)
        return await super().receive()


@pytest.mark.parametrize("every_s", [60, 0.02])
def test_a_body_that_stops_coming_or_only_drips_is_given_up(every_s: float) -> None:
    exchange = Slow(*[b""] * 100, every_s=every_s)
    status, body = exchange.run(wait_s=0.1)
    assert (status, body["error"]["code"]) == (408, "request_timeout")
    assert (b"connection", b"close") in [(name.lower(), value) for name, value in exchange.sent[0]["headers"]]


def test_a_body_that_comes_slowly_and_steadily_is_read_to_its_end() -> None:
    exchange = Slow(*[bytes(1000)] * 10, every_s=0.15)
    assert exchange.run(wait_s=1, limit=20_000)[0] == 200
    assert sum(map(len, exchange.app_read)) == 10_000


def test_an_answer_may_take_longer_than_its_request() -> None:
    class Patient(Exchange):
        async def app(self, scope: Scope, receive: Receive, send: Send) -> None:
            await Request(scope, receive).body()
            waiting = asyncio.ensure_future(receive())  # as an app does that wants to know when its client leaves
            await asyncio.sleep(0.2)
            assert not waiting.done()
            waiting.cancel()
            await JSONResponse({"ok": True})(scope, receive, send)

        async def receive(self) -> Message:
            if not self.messages:
                await asyncio.sleep(60)
            return await super().receive()

    assert Patient(b"12345").run(wait_s=0.05) == (200, {"ok": True})


def test_a_client_that_stops_sending_does_not_hold_the_connection() -> None:
    class Silent(Exchange):
        async def receive(self) -> Message:
            await asyncio.sleep(60)
            raise AssertionError("nobody waits that long")

    assert Silent(length=11).run()[0] == 413


@pytest.mark.parametrize(
    ("path", "content_type", "status"),
    [
        ("/", "application/json", 413),
        ("/", "application/json; charset=utf-8", 413),
        ("/", "text/plain", 413),
        ("/", "", 413),
        ("/", "multipart/form-data; boundary=x", 200),
        ("/", "Multipart/Form-Data;boundary=x", 200),
        ("/text", "application/json", 200),
        ("/text", "multipart/form-data; boundary=x", 200),
    ],
)
def test_a_body_that_is_not_a_form_has_the_limit_of_its_path(path: str, content_type: str, status: int) -> None:
    exchange = Exchange(bytes(JSON_BYTES), b"1")
    exchange.scope["path"] = path
    exchange.scope["headers"] = [(b"content-type", content_type.encode())]
    limited = BodyLimit(exchange.app, max_bytes=100 << 20, json_bytes={"/text": 2 << 20}, linger_s=0.05)
    asyncio.run(limited(exchange.scope, exchange.receive, exchange.send))
    assert exchange.sent[0]["status"] == status
