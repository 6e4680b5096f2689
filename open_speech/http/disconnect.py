"""Work and responses that end when the client disconnects."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Mapping
from contextlib import aclosing
from typing import TypeVar

from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from open_speech.errors import SpeechError

T = TypeVar("T")
NO_STORE = {"Cache-Control": "no-store"}
"""Headers of a response that no proxy may store."""
STALLED_S = 600.0
"""Seconds for which a client may stop reading: a player with a full buffer does so for minutes, one that hangs does so forever."""


class ResponseTruncated(Exception):
    """A response failed after it had begun. The error is passed to the server, which then drops the connection."""


async def while_connected(receive: Receive, work: Awaitable[T]) -> T:
    """Run `work`, and cancel it as soon as the client disconnects. The body of the request must have been read before.

    Raises ClientDisconnect if the client has disconnected.
    """
    task = asyncio.ensure_future(work)
    disconnected = asyncio.ensure_future(_until_disconnect(receive))
    try:
        await asyncio.wait({task, disconnected}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise ClientDisconnect
        return task.result()
    finally:
        task.cancel()
        disconnected.cancel()
        await asyncio.gather(task, disconnected, return_exceptions=True)


async def _until_disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def resumed(first: bytes, rest: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    """Yield a stream whose first chunk was already read; closing it closes `rest`."""
    async with aclosing(rest):
        yield first
        async for chunk in rest:
            yield chunk


class LiveResponse(Response):
    """A response whose body is sent as it is produced. A disconnect closes `body` at once; an error of `body` aborts the connection.

    An abort is the only way to indicate that chunked audio is incomplete: a final chunk would mark it as complete.
    """

    def __init__(self, body: AsyncGenerator[bytes, None], media_type: str, headers: Mapping[str, str] | None = None) -> None:
        self._body = body
        self.status_code = 200
        self.media_type = media_type
        self.background = None
        self.init_headers({**NO_STORE, "X-Accel-Buffering": "no", **(headers or {})})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the body chunk by chunk. Raises ResponseTruncated or ClientDisconnect."""
        async with aclosing(self._body):
            await while_connected(receive, self._send_all(send))

    async def _send_all(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        try:
            async for chunk in self._body:
                async with asyncio.timeout(STALLED_S):
                    await send({"type": "http.response.body", "body": chunk, "more_body": True})
        except SpeechError as error:
            raise ResponseTruncated(error.message) from error
        except TimeoutError:
            raise ResponseTruncated("the client stopped reading") from None
        await send({"type": "http.response.body", "body": b"", "more_body": False})
