"""What a live session needs of its connection: messages in both directions. A WebSocket has it, and so has the data channel of a call."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any, Protocol


class MessageSocket(Protocol):
    """A connection that is open already."""

    async def receive(self) -> MutableMapping[str, Any]:
        """Wait for the next event, as ASGI defines it: `websocket.receive` with `text` or `bytes`, at the end `websocket.disconnect`."""
        ...

    async def send_text(self, data: str) -> None:
        """Send a text message. Waits while the client is slow. Raises WebSocketDisconnect if the connection has ended."""
        ...

    async def send_bytes(self, data: bytes) -> None:
        """Send a binary message, likewise."""
        ...

    async def close(self, code: int = 1000, reason: str | None = None) -> None:
        """Close the connection after what was sent before."""
        ...
