"""A bounded queue of messages to send over one connection, in order. Audio that is not yet sent can be removed again."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from starlette.websockets import WebSocketDisconnect

from open_speech import logs
from open_speech.http.message_socket import MessageSocket
from open_speech.http.ws_messages import Close, Send, SendAudio, written

FRAMES = 8
"""Chunks of audio that may wait for a slow client; the synthesis waits while there are this many."""
CALM_BYTES = 4 << 20
"""Bytes that may wait for a slow client; while there are this many, nothing more is read from it or produced for it."""
LEAST_BYTES = 1024
"""Minimum size that a message counts as, because many small messages also take memory."""
STALLED_S = 60.0
"""Seconds for which a client may stop reading."""
ENDED = "after sending 'websocket.close'"
"""Part of the error with which uvicorn refuses a message on a connection that it has ended."""

Message = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class _Item:
    data: str | bytes
    source: str | None
    """Source of its audio; None for a message without audio."""

    @property
    def size(self) -> int:
        return max(LEAST_BYTES, len(self.data))


def _only_bytes(_: Message) -> None:
    return None


class SendQueue:
    """A queue between the session of a connection and one writer, so that messages are always sent in order."""

    def __init__(self, sound_of: Callable[[Message], str | None] = _only_bytes, *, stalled_s: float = STALLED_S) -> None:
        """`sound_of` returns the source of the audio in a message, None without audio. Binary messages are audio without a source."""
        self.sent = 0
        """Messages sent so far."""
        self._source_of = sound_of
        self._stalled_s = stalled_s
        self._items: deque[_Item | Close] = deque()
        self._bytes = self._frames = 0
        self._changed = asyncio.Event()
        self._room = asyncio.Event()
        self._calm = asyncio.Event()
        self._ended = False
        self._count(0, 0)

    def put(self, effect: Send | SendAudio | Close) -> None:
        """Append an effect; never waits. Effects after a Close are dropped."""
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
                self._add(_Item(written(message), self._source_of(message)))
        self._changed.set()

    def drop_sound(self, of: str | None = None) -> None:
        """Remove audio that is not yet sent: all of it, or that of one source."""
        items, self._items = self._items, deque()
        for item in items:
            if isinstance(item, _Item) and item.source is not None and of in (None, item.source):
                self._count(-1, -item.size)
            else:
                self._items.append(item)

    @property
    def is_calm(self) -> bool:
        """Whether fewer than CALM_BYTES wait to be sent."""
        return self._calm.is_set()

    async def room(self) -> None:
        """Wait until more may be produced for the client: there is room for one more chunk of audio."""
        await self._room.wait()

    async def calm(self) -> None:
        """Wait until more may be read from the client: fewer than CALM_BYTES wait to be sent."""
        await self._calm.wait()

    async def write(self, socket: MessageSocket) -> None:
        """Send effects as they are queued, until the connection is closed. Raises TimeoutError if the client stops reading."""
        while True:
            while not self._items:
                self._changed.clear()
                await self._changed.wait()
            item = self._items.popleft()
            try:
                async with asyncio.timeout(self._stalled_s):
                    if isinstance(item, Close):
                        await socket.close(item.code, item.reason)
                        return
                    self._count(-(item.source is not None), -item.size)
                    await (socket.send_bytes(item.data) if isinstance(item.data, bytes) else socket.send_text(item.data))
            except RuntimeError as error:
                # uvicorn has ended the connection itself, because its client did not respond to a ping; it reports what follows as misuse.
                if ENDED in str(error):
                    raise WebSocketDisconnect(1006) from error
                raise
            self.sent += 1

    def _add(self, item: _Item) -> None:
        self._items.append(item)
        self._count(item.source is not None, item.size)

    def _count(self, frames: int, size: int) -> None:
        self._frames += frames
        self._bytes += size
        is_calm = self._bytes < CALM_BYTES
        _set(self._calm, is_calm)
        _set(self._room, is_calm and self._frames < FRAMES)


def _set(event: asyncio.Event, value: bool) -> None:
    (event.set if value else event.clear)()
