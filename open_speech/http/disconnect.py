"""Work and answers that end when the client leaves."""

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
UNSTORED = {"Cache-Control": "no-store"}
"""Headers of an answer that no proxy may keep."""
STALLED_S = 600.0
"""Seconds a client may stop reading: a player that has buffered enough does so for minutes, one that hangs does so for ever."""


class AnswerCutShort(Exception):
    """An answer failed after it had begun. It is let through to the server, which then drops the connection."""


async def while_connected(receive: Receive, work: Awaitable[T]) -> T:
    """Do `work`, or cancel it as soon as the client leaves; the request's body must have been read before.

    Raises ClientDisconnect when the client left.
    """
    task = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(_client_left(receive))
    try:
        await asyncio.wait({task, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise ClientDisconnect
        return task.result()
    finally:
        task.cancel()
        leaving.cancel()
        await asyncio.gather(task, leaving, return_exceptions=True)


async def _client_left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def resumed(first: bytes, rest: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    """Give back a stream whose first chunk was already taken; closing it closes `rest`."""
    async with aclosing(rest):
        yield first
        async for chunk in rest:
            yield chunk


class LiveResponse(Response):
    """A body sent as it is made. A client that leaves closes `body` at once; a failure of `body` aborts the connection.

    An abort is the only way to tell a client that audio in chunks is not complete: a last chunk would call it whole.
    """

    def __init__(self, body: AsyncGenerator[bytes, None], media_type: str, headers: Mapping[str, str] | None = None) -> None:
        self._body = body
        self.status_code = 200
        self.media_type = media_type
        self.background = None
        self.init_headers({**UNSTORED, "X-Accel-Buffering": "no", **(headers or {})})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the body chunk by chunk. Raises AnswerCutShort, or ClientDisconnect."""
        async with aclosing(self._body):
            await while_connected(receive, self._send_all(send))

    async def _send_all(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        try:
            async for chunk in self._body:
                async with asyncio.timeout(STALLED_S):
                    await send({"type": "http.response.body", "body": chunk, "more_body": True})
        except SpeechError as error:
            raise AnswerCutShort(error.message) from error
        except TimeoutError:
            raise AnswerCutShort("the client stopped reading") from None
        await send({"type": "http.response.body", "body": b"", "more_body": False})
