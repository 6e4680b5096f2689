"""Code shared by all WebSocket endpoints: the handshake and its errors, reading messages, and closing a connection."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from typing import Any

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.websockets import WebSocket, WebSocketDisconnect

from open_speech import logs
from open_speech.config import Settings
from open_speech.engine import Engine
from open_speech.errors import BackendUnavailable, InvalidRequest, SpeechError, UpgradeRequired
from open_speech.http.errors import error_response
from open_speech.http.inbox import Inbox, Part
from open_speech.http.middleware.auth import BROWSER_PROTOCOL
from open_speech.http.send_queue import SendQueue
from open_speech.http.ws_messages import POLICY, TRY_LATER, written


def is_allowed_origin(headers: Headers, origins: Collection[str]) -> bool:
    """Return whether a page may connect. Browsers open WebSockets across origins without permission, so the server must check the origin.

    Clients other than browsers send no origin. The server's own pages are always allowed.
    """
    origin = headers.get("origin")
    if origin is None or "*" in origins or origin in origins:
        return True
    return origin.partition("://")[2] == headers.get("host")


def check_origin(headers: Headers, origins: Collection[str]) -> None:
    """Raise InvalidRequest if a page of another origin may not connect."""
    if not is_allowed_origin(headers, origins):
        raise InvalidRequest("Pages of this origin may not open WebSockets: add the origin to OS_WS_ALLOWED_ORIGINS.")


def engine_for(socket: WebSocket) -> Engine:
    """Return the engine for a connection. Raises InvalidRequest for a page of another origin, and BackendUnavailable at the start."""
    settings: Settings = socket.app.state.settings
    check_origin(socket.headers, settings.socket_origins)
    engine: Engine | None = socket.app.state.engine
    if engine is None:
        raise BackendUnavailable("The server is still starting.", retry_after_s=1)
    return engine


async def turn_away(socket: WebSocket, error: SpeechError, message: Mapping[str, Any]) -> None:
    """Send an error to a client and close its connection: with POLICY for an invalid request, else with TRY_LATER."""
    logs.note_error(error.code or error.type)
    with suppress(WebSocketDisconnect):  # the client has left already
        await socket.send_text(written(message))
        await socket.close(POLICY if isinstance(error, InvalidRequest) else TRY_LATER)


async def received(inbox: Inbox, outbox: SendQueue, idle_s: float, owes: Callable[[], bool], longest: int) -> str | bytes | None:
    """Wait for a message; None if neither side has sent anything for `idle_s` seconds and `owes` reports no pending response.

    A long binary message is returned in parts. A text with more than `longest` characters is truncated to one more than `longest`.
    """
    part = await received_part(inbox, outbox, idle_s, owes, longest)
    return None if part is None else part.data


async def received_part(inbox: Inbox, outbox: SendQueue, idle_s: float, owes: Callable[[], bool], longest: int) -> Part | None:
    """Do the same, and report whether the binary message ends with the part. A text is always whole."""
    texts: list[str] = []
    room = longest + 1
    while (part := inbox.take() or await _awaited(inbox, outbox, idle_s, owes)) is not None:
        if isinstance(part.data, bytes):
            return part
        texts.append(part.data[:room])
        room -= len(texts[-1])
        if part.is_last:
            return Part("".join(texts))
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
    """Wait until one side has closed the connection or stopped reading. Raises any other error of a task."""
    done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in done:
        failure = task.exception()
        if failure is not None and not isinstance(failure, (WebSocketDisconnect, TimeoutError)):
            raise failure


def upgrade_required() -> Response:
    """Return the error for a client that requests the path of a WebSocket with plain HTTP."""
    return error_response(UpgradeRequired("This is a WebSocket: connect with ws:// or wss://."), {"Upgrade": "websocket"})


def chosen_subprotocol(headers: Headers, *, preferred: str = "") -> str | None:
    """Select a subprotocol, because a browser disconnects without one: `preferred` if it is offered, else the first that is not a key."""
    offered = [name.strip() for name in headers.get("sec-websocket-protocol", "").split(",") if name.strip()]
    if preferred in offered:
        return preferred
    return next((name for name in offered if not name.startswith(BROWSER_PROTOCOL)), offered[0] if offered else None)
