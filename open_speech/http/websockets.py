"""What all WebSocket endpoints have in common: which pages may connect, and how a connection is read and ended."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from typing import Any

from starlette.datastructures import Headers
from starlette.websockets import WebSocket, WebSocketDisconnect

from open_speech import logs
from open_speech.errors import InvalidRequest, SpeechError
from open_speech.http.inbox import Inbox, Part
from open_speech.http.middleware.auth import BROWSER_PROTOCOL
from open_speech.http.send_queue import SendQueue
from open_speech.http.ws_messages import POLICY, TRY_LATER, written


def is_welcome(headers: Headers, origins: Collection[str]) -> bool:
    """Tell whether a page of that origin may connect: browsers ask no server before they open a WebSocket, so the server must ask itself.

    What is no browser sends no origin, and the server's own pages are always welcome.
    """
    origin = headers.get("origin")
    if origin is None or "*" in origins or origin in origins:
        return True
    return origin.partition("://")[2] == headers.get("host")


def check_origin(headers: Headers, origins: Collection[str]) -> None:
    """Raise InvalidRequest if a page may not connect."""
    if not is_welcome(headers, origins):
        raise InvalidRequest("Pages of this origin may not open WebSockets: add the origin to OS_WS_ALLOWED_ORIGINS.")


async def turn_away(socket: WebSocket, error: SpeechError, message: Mapping[str, Any]) -> None:
    """Tell a client that is not served, and close: for good if the fault is its own, else for now."""
    logs.note_error(error.code or error.type)
    with suppress(WebSocketDisconnect):  # the client has left already
        await socket.send_text(written(message))
        await socket.close(POLICY if isinstance(error, InvalidRequest) else TRY_LATER)


async def received(inbox: Inbox, outbox: SendQueue, idle_s: float, owes: Callable[[], bool], longest: int) -> str | bytes | None:
    """Wait for a message; None if for `idle_s` seconds nothing was sent by either side, and nothing is owed to the client.

    A long binary message is returned part by part. Of a text with more than `longest` characters only that many and one more are returned.
    """
    texts: list[str] = []
    room = longest + 1
    while (part := inbox.take() or await _awaited(inbox, outbox, idle_s, owes)) is not None:
        if isinstance(part.data, bytes):
            return part.data
        texts.append(part.data[:room])
        room -= len(texts[-1])
        if part.is_last:
            return "".join(texts)
    return None


async def _awaited(inbox: Inbox, outbox: SendQueue, idle_s: float, owes: Callable[[], bool]) -> Part | None:
    receiving = asyncio.ensure_future(inbox.part())
    try:
        while not receiving.done():
            sent = outbox.sent
            await asyncio.wait({receiving}, timeout=idle_s)
            if not receiving.done() and outbox.sent == sent and not owes():
                return None
    finally:
        receiving.cancel()
    return receiving.result()


async def until_one_ends(*tasks: asyncio.Task[None]) -> None:
    """Wait until one side has closed the connection, or reads nothing more. Raises whatever else a task has failed with."""
    done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in done:
        failure = task.exception()
        if failure is not None and not isinstance(failure, (WebSocketDisconnect, TimeoutError)):
            raise failure


def chosen_subprotocol(headers: Headers) -> str | None:
    """Choose one of the subprotocols a browser offers, as it gives up when none is chosen: the first that is no key, if there is one."""
    offered = [name.strip() for name in headers.get("sec-websocket-protocol", "").split(",") if name.strip()]
    return next((name for name in offered if not name.startswith(BROWSER_PROTOCOL)), offered[0] if offered else None)
