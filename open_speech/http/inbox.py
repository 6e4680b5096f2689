"""A bounded buffer of messages received over one connection that are not yet processed; long messages are in parts."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass

from starlette.websockets import WebSocket, WebSocketDisconnect

from open_speech.http.message_socket import MessageSocket

PARTS = "open_speech.parts"
"""An ASGI extension. A server that lists it in the scope delivers a long message as several `websocket.receive` events if the connection
is accepted with this key. All of them but the last have `"more": True`."""
AHEAD_BYTES = 24 << 20
"""Bytes that are received ahead of the processing, about as many as in the longest message, so that a disconnect is noticed while a long
message is still being processed. Nothing more is received while this many bytes wait."""
LEAST_BYTES = 1024
"""Minimum size that a part counts as, because many small parts also take memory."""


@dataclass(frozen=True, slots=True)
class Part:
    """A message, or the next part of a long one."""

    data: str | bytes
    is_last: bool = True

    @property
    def size(self) -> int:
        """The size that counts towards AHEAD_BYTES."""
        return max(LEAST_BYTES, len(self.data))


async def accept(socket: WebSocket, subprotocol: str | None = None) -> None:
    """Accept a connection. Long messages arrive in parts if the server supports it."""
    await socket.receive()  # websocket.connect
    parts = {PARTS: True} if PARTS in (socket.scope.get("extensions") or {}) else {}
    await socket.send({"type": "websocket.accept", "subprotocol": subprotocol, "headers": [], **parts})


class Inbox:
    """A buffer that one task fills and another empties."""

    def __init__(self, socket: MessageSocket, *, ahead_bytes: int = AHEAD_BYTES) -> None:
        """The connection must already be accepted. `ahead_bytes` are received ahead of the processing."""
        self._ahead_bytes = ahead_bytes
        self._socket = socket
        self._parts: deque[Part] = deque()
        self._bytes = 0
        self._arrived = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()

    async def fill(self) -> None:
        """Receive messages until the client disconnects. Raises WebSocketDisconnect then."""
        while True:
            await self._room.wait()
            event = await self._socket.receive()
            if event["type"] == "websocket.disconnect":
                raise WebSocketDisconnect(event.get("code", 1005))
            data: bytes | None = event.get("bytes")
            self._put(Part(data if data is not None else event.get("text") or "", not event.get("more", False)))
            await asyncio.sleep(0)

    async def part(self) -> Part:
        """Wait for the next message or part of a message."""
        while (part := self.take()) is None:
            self._arrived.clear()
            await self._arrived.wait()
        return part

    def take(self) -> Part | None:
        """Return the next message or part of a message; None if there is none."""
        if not self._parts:
            return None
        part = self._parts.popleft()
        self._bytes -= part.size
        if self._bytes < self._ahead_bytes:
            self._room.set()
        return part

    def _put(self, part: Part) -> None:
        self._parts.append(part)
        self._bytes += part.size
        if self._bytes >= self._ahead_bytes:
            self._room.clear()
        self._arrived.set()
