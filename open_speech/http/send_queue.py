"""What waits to be sent over one WebSocket: messages in order, sound that can still be taken back, and room for only so much of it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from starlette.websockets import WebSocket

from open_speech import logs
from open_speech.http.ws_messages import Close, Send, SendAudio, written

FRAMES = 8
"""Pieces of sound that may wait for a slow client; the synthesis waits with them."""
CALM_BYTES = 4 << 20
"""Bytes that may wait for it; nothing more is read from it, and nothing more is made for it, until it has caught up."""
LEAST_BYTES = 1024
"""What the shortest message counts for: many small ones take memory, too."""
STALLED_S = 60.0
"""Seconds a client may stop reading."""

Message = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class _Item:
    data: str | bytes
    sound_of: str | None
    """Whose sound it carries; None if it carries none."""

    @property
    def size(self) -> int:
        return max(LEAST_BYTES, len(self.data))


def _only_bytes(_: Message) -> None:
    return None


class SendQueue:
    """Written to by the machine of a connection, emptied by one writer: so nothing is ever sent out of turn."""

    def __init__(self, sound_of: Callable[[Message], str | None] = _only_bytes, *, stalled_s: float = STALLED_S) -> None:
        """`sound_of` tells whose sound a message carries, None if it carries none; bytes always carry sound, of nobody in particular."""
        self.sent = 0
        """Messages sent so far."""
        self._sound_of = sound_of
        self._stalled_s = stalled_s
        self._items: deque[_Item | Close] = deque()
        self._bytes = self._frames = 0
        self._changed = asyncio.Event()
        self._room = asyncio.Event()
        self._calm = asyncio.Event()
        self._ended = False
        self._count(0, 0)

    def put(self, effect: Send | SendAudio | Close) -> None:
        """Add something at the end; never waits. What comes after a Close is dropped."""
        if self._ended:
            return
        match effect:
            case Close():
                self._items.append(effect)
                self._ended = True
            case SendAudio(data):
                self._add(_Item(data, ""))
            case Send(message):
                logs.note_event(message)
                self._add(_Item(written(message), self._sound_of(message)))
        self._changed.set()

    def drop_sound(self, of: str | None = None) -> None:
        """Take back sound that is not yet sent: all of it, or that of one source."""
        items, self._items = self._items, deque()
        for item in items:
            if isinstance(item, _Item) and item.sound_of is not None and of in (None, item.sound_of):
                self._count(-1, -item.size)
            else:
                self._items.append(item)

    async def room(self) -> None:
        """Wait until more may be made for the client: there is room for one more piece of sound."""
        await self._room.wait()

    async def calm(self) -> None:
        """Wait until more may be read from it: not too much waits for it."""
        await self._calm.wait()

    async def write(self, socket: WebSocket) -> None:
        """Send everything as it comes, until the connection was closed. Raises TimeoutError when the client stops reading."""
        while True:
            while not self._items:
                self._changed.clear()
                await self._changed.wait()
            item = self._items.popleft()
            async with asyncio.timeout(self._stalled_s):
                if isinstance(item, Close):
                    await socket.close(item.code, item.reason)
                    return
                self._count(-(item.sound_of is not None), -item.size)
                await (socket.send_bytes(item.data) if isinstance(item.data, bytes) else socket.send_text(item.data))
            self.sent += 1

    def _add(self, item: _Item) -> None:
        self._items.append(item)
        self._count(item.sound_of is not None, item.size)

    def _count(self, frames: int, size: int) -> None:
        self._frames += frames
        self._bytes += size
        is_calm = self._bytes < CALM_BYTES
        _set(self._calm, is_calm)
        _set(self._room, is_calm and self._frames < FRAMES)


def _set(event: asyncio.Event, value: bool) -> None:
    (event.set if value else event.clear)()
