"""The limits on request bodies: on their size, so that nobody fills the disk or the memory, and on the time they take to come."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from open_speech.errors import BodyTooSlow, InvalidRequest, UploadTooLarge
from open_speech.http.errors import error_response

LINGER_S = 10.0
"""Seconds for which the rest of a refused body is still read and dropped. A connection closed under a client that is sending
is reset, and the client then never sees the answer."""


FORM = "multipart/form-data"
JSON_BYTES = 1 << 20
"""Largest body that is neither a form nor one of the endpoints that take text or audio in JSON."""
SLOWEST = 4096
"""Bytes a second that a body must have had all in all, beside one wait: a byte now and then is no sign of life."""


class BodyLimit:
    """ASGI middleware that answers 413 as soon as a body is, or says it is, larger than `max_bytes`, and 408 when it stops coming."""

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
        """`other` maps paths that have a limit of their own to it, in bytes. `wait_s` is the longest wait for the next piece of a body.

        With `json_bytes`, a body that is not a form has the limit of its path there, and JSON_BYTES on any other path.
        """
        self._app = app
        self._wait_s = wait_s
        self._max = max_bytes
        self._other = dict(other or {})
        self._json = json_bytes
        self._linger_s = linger_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request with its body counted."""
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
            # Whatever the app makes of a body that breaks off, the client is told the real reason.
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
            # A client that sends slowly has had its time: it gets no longer than another wait.
            await _drain(receive, min(self._linger_s, self._wait_s))
            await send({"type": "http.response.body", "body": b"", "more_body": False})

        await error_response(error, {"Connection": "close"})(scope, receive, answer_then_drain)


def _too_large(limit: int, size: int) -> UploadTooLarge:
    return UploadTooLarge(f"Maximum content size limit ({limit}) exceeded ({size} bytes read)")


class _CountedBody:
    """A request body that knows how much of it was read and how long that took, and stops at the limits."""

    def __init__(self, receive: Receive, limit: int, wait_s: float) -> None:
        self.problem: InvalidRequest | None = None
        """Why it is not read to its end."""
        self._receive = receive
        self._limit = limit
        self._wait_s = wait_s
        self._size = 0
        self._waited_s = 0.0
        self._ended = False

    async def receive(self) -> Message:
        # After its end what comes is that the client leaves, and that may take as long as it likes.
        message = await (self._receive() if self._ended else self._in_time())
        self._size += len(message.get("body", b""))
        self._ended = not message.get("more_body", False)
        if self._size > self._limit:
            self.problem = _too_large(self._limit, self._size)
            raise self.problem
        return message

    async def _in_time(self) -> Message:
        """Wait for the next piece. Only waiting counts: what the app does with the pieces takes its own time."""
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
