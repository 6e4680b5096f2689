"""What has been received over one WebSocket and is not yet worked off: long messages in parts, and a bound on all of it."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass

from starlette.websockets import WebSocket, WebSocketDisconnect

PARTS = "open_speech.parts"
"""An ASGI extension. A server that lists it in the scope delivers a long message as several `websocket.receive` events if the connection
is accepted with this key. All of them but the last have `"more": True`."""
AHEAD_BYTES = 24 << 20
"""Bytes that are received ahead of the work, about as many as the longest message has. The end of the connection comes behind them, and is
to be noticed while a long message is still being worked off. Nothing more is received until fewer are waiting."""
LEAST_BYTES = 1024
"""What the shortest part counts for: many small ones take memory, too."""


@dataclass(frozen=True, slots=True)
class Part:
    """A message, or the next part of a long one."""

    data: str | bytes
    is_last: bool = True

    @property
    def size(self) -> int:
        """What it counts for in AHEAD_BYTES."""
        return max(LEAST_BYTES, len(self.data))


async def accept(socket: WebSocket, subprotocol: str | None = None) -> None:
    """Accept a connection, with long messages in parts where the server can deliver them."""
    await socket.receive()  # websocket.connect
    parts = {PARTS: True} if PARTS in (socket.scope.get("extensions") or {}) else {}
    await socket.send({"type": "websocket.accept", "subprotocol": subprotocol, "headers": [], **parts})


class Inbox:
    """Filled by one task, emptied by another."""

    def __init__(self, socket: WebSocket) -> None:
        """The connection is accepted already."""
        self._socket = socket
        self._parts: deque[Part] = deque()
        self._bytes = 0
        self._arrived = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()

    async def fill(self) -> None:
        """Receive what the client sends, without end. Raises WebSocketDisconnect as soon as the client has left."""
        while True:
            await self._room.wait()
            event = await self._socket.receive()
            if event["type"] == "websocket.disconnect":
                raise WebSocketDisconnect(event.get("code", 1005))
            data: bytes | None = event.get("bytes")
            self._put(Part(data if data is not None else event.get("text") or "", not event.get("more", False)))
            await asyncio.sleep(0)

    async def part(self) -> Part:
        """Wait for the next message, or part of one."""
        while (part := self.take()) is None:
            self._arrived.clear()
            await self._arrived.wait()
        return part

    def take(self) -> Part | None:
        """Take the next message, or part of one, if it is there."""
        if not self._parts:
            return None
        part = self._parts.popleft()
        self._bytes -= part.size
        if self._bytes < AHEAD_BYTES:
            self._room.set()
        return part

    def _put(self, part: Part) -> None:
        self._parts.append(part)
        self._bytes += part.size
        if self._bytes >= AHEAD_BYTES:
            self._room.clear()
        self._arrived.set()
