"""The limit on request bodies, counted while they are read, so that nobody fills the disk or the memory."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from open_speech.errors import UploadTooLarge
from open_speech.openai.errors import error_response

LINGER_S = 10.0
"""Seconds for which the rest of a refused body is still read and dropped. A connection closed under a client that is sending
is reset, and the client then never sees the answer."""


class BodyLimit:
    """ASGI middleware that answers 413 as soon as a body is, or says it is, larger than `max_bytes`."""

    def __init__(self, app: ASGIApp, *, max_bytes: int, other: Mapping[str, int] | None = None, linger_s: float = LINGER_S) -> None:
        """`other` maps paths that have a limit of their own to it, in bytes."""
        self._app = app
        self._max = max_bytes
        self._other = dict(other or {})
        self._linger_s = linger_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request with its body counted."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        limit = self._other.get(scope["path"], self._max)
        declared = Headers(scope=scope).get("content-length", "")
        if declared.isdecimal() and int(declared) > limit:
            await self._refuse(_too_large(limit, int(declared)), scope, receive, send)
            return
        body = _CountedBody(receive, limit)

        async def send_unless_refused(message: Message) -> None:
            # Whatever the app makes of a body that breaks off, the client is told the real reason.
            if not body.is_over:
                await send(message)

        with contextlib.suppress(UploadTooLarge):
            await self._app(scope, body.receive, send_unless_refused)
        if body.is_over:
            await self._refuse(_too_large(limit, body.size), scope, body.rest, send)

    async def _refuse(self, error: UploadTooLarge, scope: Scope, receive: Receive, send: Send) -> None:
        async def answer_then_drain(message: Message) -> None:
            if message["type"] != "http.response.body":
                await send(message)
                return
            await send({**message, "more_body": True})
            await _drain(receive, self._linger_s)
            await send({"type": "http.response.body", "body": b"", "more_body": False})

        await error_response(error, {"Connection": "close"})(scope, receive, answer_then_drain)


def _too_large(limit: int, size: int) -> UploadTooLarge:
    return UploadTooLarge(f"Maximum content size limit ({limit}) exceeded ({size} bytes read)")


class _CountedBody:
    """A request body that knows how much of it was read, and stops at the limit."""

    def __init__(self, receive: Receive, limit: int) -> None:
        self.size = 0
        self._receive = receive
        self._limit = limit
        self._ended = False

    @property
    def is_over(self) -> bool:
        return self.size > self._limit

    async def receive(self) -> Message:
        message = await self._receive()
        self.size += len(message.get("body", b""))
        self._ended = not message.get("more_body", False)
        if self.is_over:
            raise UploadTooLarge("The request body is too large.")
        return message

    async def rest(self) -> Message:
        return {"type": "http.disconnect"} if self._ended else await self._receive()


async def _drain(receive: Receive, seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while (await receive()).get("more_body", False):
                pass
