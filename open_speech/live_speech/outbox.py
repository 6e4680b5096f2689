"""What waits to be sent over one WebSocket: messages in order, sound that can still be dropped, and room for only so much of it."""

from __future__ import annotations

import asyncio
from collections import deque

from starlette.websockets import WebSocket

from open_speech.live_speech.messages import written
from open_speech.live_speech.session import Close, Send, SendAudio

FRAMES = 8
"""Frames of sound that may wait for a slow client; the synthesis waits with them."""
MESSAGES = 1000
"""Messages that may wait for it; nothing more is read from it until it has caught up."""
STALLED_S = 60.0
"""Seconds a client may stop reading."""

Item = Send | SendAudio | Close


class Outbox:
    """Written to by the session, emptied by one writer: so nothing is ever sent out of turn."""

    def __init__(self, *, stalled_s: float = STALLED_S) -> None:
        self.sent = 0
        """Messages sent so far."""
        self._items: deque[Item] = deque()
        self._frames = 0
        self._changed = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._calm = asyncio.Event()
        self._calm.set()
        self._stalled_s = stalled_s

    def put(self, item: Item) -> None:
        """Add something at the end; never waits."""
        self._items.append(item)
        self._count(1 if _is_sound(item) else 0)
        self._changed.set()

    def drop_sound(self) -> None:
        """Take back all sound that is not yet sent."""
        self._items = deque(item for item in self._items if not _is_sound(item))
        self._count(-self._frames)

    async def room(self) -> None:
        """Wait until there is room for one more frame of sound."""
        await self._room.wait()

    async def calm(self) -> None:
        """Wait until not too many messages wait."""
        await self._calm.wait()

    async def write(self, socket: WebSocket) -> None:
        """Send everything as it comes, until a Close was sent. Raises TimeoutError when the client stops reading."""
        while True:
            while not self._items:
                self._changed.clear()
                await self._changed.wait()
            item = self._items.popleft()
            self._count(-1 if _is_sound(item) else 0)
            async with asyncio.timeout(self._stalled_s):
                match item:
                    case SendAudio(data):
                        await socket.send_bytes(data)
                    case Send(message):
                        await socket.send_text(written(message))
                    case Close(code):
                        await socket.close(code)
                        return
            self.sent += 1

    def _count(self, more: int) -> None:
        self._frames += more
        _set(self._room, self._frames < FRAMES)
        _set(self._calm, len(self._items) < MESSAGES)


def _set(event: asyncio.Event, value: bool) -> None:
    (event.set if value else event.clear)()


def _is_sound(item: Item) -> bool:
    return isinstance(item, SendAudio) or (isinstance(item, Send) and item.message["type"] == "audio")
