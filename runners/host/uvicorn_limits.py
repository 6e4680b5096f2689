"""uvicorn's two protocols, with bounds where it has none: on the head of a request, and on what a WebSocket makes it keep.

httptools joins a header that comes in pieces again with each of them: one that never ends fills the memory and stops everybody else.
"""

from __future__ import annotations

import asyncio
import codecs
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import CloseCode

from open_speech.http.inbox import PARTS
from runners.host.memory import TIDYING
from runners.host.ws_frames import PIECE_BYTES, Cutter

HEAD_BYTES = 1 << 16
"""Longest head of a request; what comes in one read is let through, whatever its length."""
HEAD_S = 30.0
"""Seconds in which the head of a request has to come, once there is a connection."""
FRAGMENTS = 10_000
"""Frames of one WebSocket message; each is kept, even an empty one, which counts for nothing in the limit of a message's size."""
PINGS = 1000
"""Pings of a client that does not read; each is answered, and the answers wait for it."""

LARGE_BYTES = 1 << 20
"""After a connection that received more than this, memory is given back: a session's parts refer to each other."""
_BAD = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
_TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


class BoundedHttp(HttpToolsProtocol):
    """HTTP whose heads are short and come in time."""

    head_s = HEAD_S
    """Seconds that it waits for one."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._head_bytes = 0
        self._in_head = False
        self._patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a connection."""
        super().connection_made(transport)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Lose it."""
        self._awaited()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take bytes; a head that goes on too long is refused."""
        was_in_head = self._in_head
        super().data_received(data)
        if was_in_head and self._in_head:
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_BYTES and not self.transport.is_closing():
                self.transport.write(_TOO_LARGE)
                self.transport.close()

    def on_message_begin(self) -> None:
        """Note that a head begins."""
        self._in_head, self._head_bytes = True, 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Note that it is there."""
        self._in_head = False
        self._awaited()
        super().on_headers_complete()

    def on_response_complete(self) -> None:
        """Wait for the next one, unless it is there already."""
        another = bool(self.pipeline)
        super().on_response_complete()
        if not another:
            self._await_head()

    def _await_head(self) -> None:
        self._awaited()
        self._patience = self.loop.call_later(self.head_s, self.timeout_keep_alive_handler)

    def _awaited(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None


class BoundedWebSocket(WebSocketsSansIOProtocol):
    """A WebSocket that keeps no more for a client than the size of a message, and takes one that has closed for one that has left."""

    large_bytes = LARGE_BYTES

    _pings = 0
    _received = 0
    """Bytes of the whole connection."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._cutter = Cutter(self.config.ws_max_size)
        self._in_parts = False
        """The app takes long messages in parts."""
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._waiting = 0
        """Bytes of the frames that are not yet handed on."""

    def data_received(self, data: bytes) -> None:
        """Take bytes. A head that the library refuses, for its length as a rule, is answered: uvicorn would leave its client waiting."""
        self._received += len(data)
        super().data_received(self._cutter.feed(data) if self.handshake_initiated else data)
        if self.conn.handshake_exc is not None and not self.handshake_initiated and not self.transport.is_closing():
            self.transport.write(b"".join(self.conn.data_to_send()) or _BAD)
            self.transport.close()

    async def send(self, message: Any) -> None:
        """Send a message.

        uvicorn calls it a mistake of the app to send after a close, also where the client closed a moment before; and to answer the
        opening of a WebSocket over HTTP, with each of which it would write an error into the log.
        """
        if self.handshake_complete and self.close_sent:
            raise ClientDisconnected
        if message["type"] == "websocket.accept":
            self._in_parts = message.get(PARTS, False)
        await super().send(message)
        self.handshake_complete = self.handshake_complete or self.close_sent

    def connection_lost(self, exc: Exception | None) -> None:
        """Lose the connection, and what came of a message that was not complete.

        The protocol and its parser refer to each other, so either would keep megabytes until the garbage collector comes, in minutes.
        """
        super().connection_lost(exc)
        self.conn.reader.buffer.clear()
        self.frames = []
        if self._received > self.large_bytes:
            TIDYING.soon()

    def handle_connect(self, event: Any) -> None:
        """Begin a connection, and offer the app long messages in parts."""
        super().handle_connect(event)
        if self.handshake_initiated and not self.close_sent:
            self.scope["extensions"][PARTS] = {}

    def handle_text(self, event: Any) -> None:
        """Take the first frame of a text. The parser keeps its last frame until there is another, so its data is dropped here."""
        self._waiting = len(event.data)
        super().handle_text(event)
        self._taken(event)

    def handle_bytes(self, event: Any) -> None:
        """Take the first frame of bytes."""
        self._waiting = len(event.data)
        super().handle_bytes(event)
        self._taken(event)

    def handle_cont(self, event: Any) -> None:
        """Take a further frame of a message."""
        self._waiting += len(event.data)
        super().handle_cont(event)
        self._taken(event)
        if len(self.frames) > FRAGMENTS:
            self.transport.abort()

    def _taken(self, event: Any) -> None:
        event.data = b""
        if self._in_parts and not event.fin and self._waiting >= PIECE_BYTES:
            self._hand_on(more=True)

    def send_receive_event_to_app(self) -> None:
        """Hand on a whole message, or the rest of one."""
        if self._in_parts:
            self._hand_on(more=False)
        else:
            super().send_receive_event_to_app()

    def _hand_on(self, *, more: bool) -> None:
        data = b"".join(self.frames)
        self.frames, self._waiting = [], 0
        if self.close_sent:  # nobody listens any more
            return
        part: dict[str, Any] = {"type": "websocket.receive", "more": more}
        if self.curr_msg_data_type == "text":
            try:
                part["text"] = self._decoder.decode(data, final=not more)
            except UnicodeDecodeError:
                self.conn.fail(CloseCode.INVALID_DATA, "the text is not UTF-8")
                self.handle_parser_exception()
                return
        else:
            part["bytes"] = data
        self.queue.put_nowait(part)  # type: ignore[arg-type]
        if not self.read_paused:
            self.read_paused = True
            self.transport.pause_reading()

    def handle_ping(self) -> None:
        """Answer a ping."""
        super().handle_ping()
        self._pings = 0 if self.writable.is_set() else self._pings + 1
        if self._pings > PINGS:
            self.transport.abort()
