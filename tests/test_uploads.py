from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import Message, Receive, Scope, Send

from open_speech.uploads import BodyLimit

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

    def run(self) -> tuple[int, Any]:
        limit = BodyLimit(self.app, max_bytes=LIMIT, linger_s=0.05)
        asyncio.run(limit(self.scope, self.receive, self.send))
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


def test_a_client_that_stops_sending_does_not_hold_the_connection() -> None:
    class Silent(Exchange):
        async def receive(self) -> Message:
            await asyncio.sleep(60)
            raise AssertionError("nobody waits that long")

    assert Silent(length=11).run()[0] == 413
