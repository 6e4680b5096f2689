"""Limits on request bodies: on their size, to protect the disk and the memory, and on the time until they have arrived."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from open_speech.errors import BodyTooSlow, InvalidRequest, UploadTooLarge
from open_speech.http.errors import error_response

LINGER_S = 10.0
"""Seconds for which the rest of a rejected body is still read and dropped. If the connection is closed while the client is sending, it is
reset, and the client never receives the response."""

FORM = "multipart/form-data"
JSON_BYTES = 1 << 20
"""Maximum size of a body that is neither a form nor JSON of an endpoint that accepts text or audio in it."""
SLOWEST = 4096
"""Minimum average rate of a body in bytes per second, apart from one wait, so that single bytes do not keep a request open."""


class BodyLimit:
    """ASGI middleware that returns 413 as soon as the declared or actual size of a body exceeds `max_bytes`, and 408 for a slow body."""

    def __init__(  # noqa: PLR0913 - one keyword for each limit
        self,
        app: ASGIApp,
        *,
        max_bytes: int,
        other: Mapping[str, int] | None = None,
        json_bytes: Mapping[str, int] | None = None,
        wait_s: float = 30.0,
        linger_s: float = LINGER_S,
    ) -> None:
        """`other` maps paths with a limit of their own to that limit in bytes. `wait_s` is the longest wait for the next part of a body.

        With `json_bytes`, a body that is not a form has the limit of its path there, and JSON_BYTES on any other path.
        """
        self._app = app
        self._wait_s = wait_s
        self._max = max_bytes
        self._other = dict(other or {})
        self._json = json_bytes
        self._linger_s = linger_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request within the limits on its body."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        limit = self._limit_of(scope["path"], headers.get("content-type", ""))
        declared = headers.get("content-length", "")
        if declared.isdecimal() and int(declared) > limit:
            await self._refuse(_too_large(limit, int(declared)), scope, receive, send)
            return
        body = _CountedBody(receive, limit, self._wait_s)

        async def send_unless_refused(message: Message) -> None:
            # The client receives the actual reason, however the app handles a truncated body.
            if body.problem is None:
                await send(message)

        with contextlib.suppress(UploadTooLarge, BodyTooSlow):
            await self._app(scope, body.receive, send_unless_refused)
        if body.problem is not None:
            await self._refuse(body.problem, scope, body.rest, send)

    def _limit_of(self, path: str, content_type: str) -> int:
        limit = self._other.get(path, self._max)
        if self._json is None or content_type.partition(";")[0].strip().lower() == FORM:
            return limit
        return min(limit, self._json.get(path, JSON_BYTES))

    async def _refuse(self, error: InvalidRequest, scope: Scope, receive: Receive, send: Send) -> None:
        async def answer_then_drain(message: Message) -> None:
            if message["type"] != "http.response.body":
                await send(message)
                return
            await send({**message, "more_body": True})
            # A slow client has used its time, so it gets no more than one further wait.
            await _drain(receive, min(self._linger_s, self._wait_s))
            await send({"type": "http.response.body", "body": b"", "more_body": False})

        await error_response(error, {"Connection": "close"})(scope, receive, answer_then_drain)


def _too_large(limit: int, size: int) -> UploadTooLarge:
    return UploadTooLarge(f"Maximum content size limit ({limit}) exceeded ({size} bytes read)")


class _CountedBody:
    """A request body that counts the bytes that were read and the time that they took, and stops at the limits."""

    def __init__(self, receive: Receive, limit: int, wait_s: float) -> None:
        self.problem: InvalidRequest | None = None
        """Why the body is not read to its end."""
        self._receive = receive
        self._limit = limit
        self._wait_s = wait_s
        self._size = 0
        self._waited_s = 0.0
        self._ended = False

    async def receive(self) -> Message:
        # After the body, the next message is the disconnect of the client, which has no time limit.
        message = await (self._receive() if self._ended else self._in_time())
        self._size += len(message.get("body", b""))
        self._ended = not message.get("more_body", False)
        if self._size > self._limit:
            self.problem = _too_large(self._limit, self._size)
            raise self.problem
        return message

    async def _in_time(self) -> Message:
        """Wait for the next part. Only this wait counts, and not the time in which the app processes the body."""
        patience_s = min(self._wait_s, self._wait_s + self._size / SLOWEST - self._waited_s)
        clock = asyncio.get_running_loop().time
        since = clock()
        try:
            async with asyncio.timeout(patience_s):
                return await self._receive()
        except TimeoutError:
            self.problem = BodyTooSlow(f"The request body arrives too slowly: {self._size} bytes in {self._waited_s + patience_s:.0f} s.")
            raise self.problem from None
        finally:
            self._waited_s += clock() - since

    async def rest(self) -> Message:
        return {"type": "http.disconnect"} if self._ended else await self._receive()


async def _drain(receive: Receive, seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while (await receive()).get("more_body", False):
                pass
