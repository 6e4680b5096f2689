"""uvicorn's two protocols with additional limits: on the head of a request, and on the data that is kept for a WebSocket.

httptools copies an incomplete header again with each received part: a header without an end fills the memory and blocks all other clients.
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
"""Maximum size of the head of a request; a head that arrives in one read is accepted at any length."""
HEAD_S = 30.0
"""Seconds within which the head of a request must arrive on an open connection."""
FRAGMENTS = 10_000
"""Maximum frames of one WebSocket message; each frame is kept, even an empty one, which the limit of a message's size does not count."""
PINGS = 1000
"""Maximum pings from a client that does not read; each is answered, and the answers are kept until the client reads them."""

LARGE_BYTES = 1 << 20
"""Received bytes of a connection above which memory is returned at its end: the objects of a session refer to each other."""
_BAD = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
_TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


class BoundedHttp(HttpToolsProtocol):
    """HTTP with limits on the size of a request head and on the time until it arrives."""

    head_s = HEAD_S
    """Seconds to wait for the head of a request."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._head_bytes = 0
        self._in_head = False
        self._patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for the first request head of a connection."""
        super().connection_made(transport)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting for a head."""
        self._awaited()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse received bytes; a head that is too long is rejected with 431."""
        was_in_head = self._in_head
        super().data_received(data)
        if was_in_head and self._in_head:
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_BYTES and not self.transport.is_closing():
                self.transport.write(_TOO_LARGE)
                self.transport.close()

    def on_message_begin(self) -> None:
        """Record the start of a head."""
        self._in_head, self._head_bytes = True, 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Record the end of a head."""
        self._in_head = False
        self._awaited()
        super().on_headers_complete()

    def on_response_complete(self) -> None:
        """Begin to wait for the next head, unless another request has already arrived."""
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
    """A WebSocket that keeps at most one message of data per client, and treats a closed connection as a disconnected client."""

    large_bytes = LARGE_BYTES

    _pings = 0
    _received = 0
    """Received bytes of the whole connection."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._cutter = Cutter(self.config.ws_max_size)
        self._in_parts = False
        """Whether the app accepts long messages in parts."""
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._waiting = 0
        """Bytes of the frames that are not yet passed to the app."""

    def data_received(self, data: bytes) -> None:
        """Parse received bytes. Responds to a head that the library rejects, usually for its length: uvicorn would not respond at all."""
        self._received += len(data)
        super().data_received(self._cutter.feed(data) if self.handshake_initiated else data)
        if self.conn.handshake_exc is not None and not self.handshake_initiated and not self.transport.is_closing():
            self.transport.write(b"".join(self.conn.data_to_send()) or _BAD)
            self.transport.close()

    async def send(self, message: Any) -> None:
        """Send a message.

        uvicorn treats two cases as errors of the app, and logs them: to send after a close, even if the client closed just before; and to
        respond over HTTP to the opening of a WebSocket.
        """
        if self.handshake_complete and self.close_sent:
            raise ClientDisconnected
        if message["type"] == "websocket.accept":
            self._in_parts = message.get(PARTS, False)
        await super().send(message)
        self.handshake_complete = self.handshake_complete or self.close_sent

    def connection_lost(self, exc: Exception | None) -> None:
        """Drop the data of an incomplete message at the end of the connection.

        The protocol and its parser refer to each other, so they would keep megabytes until the next garbage collection, for minutes.
        """
        super().connection_lost(exc)
        self.conn.reader.buffer.clear()
        self.frames = []
        if self._received > self.large_bytes:
            TIDYING.soon()

    def handle_connect(self, event: Any) -> None:
        """Open a connection, and offer the app long messages in parts."""
        super().handle_connect(event)
        if self.handshake_initiated and not self.close_sent:
            self.scope["extensions"][PARTS] = {}

    def handle_text(self, event: Any) -> None:
        """Store the first frame of a text. The parser keeps its last frame until the next one arrives, so its data is dropped here."""
        self._waiting = len(event.data)
        super().handle_text(event)
        self._taken(event)

    def handle_bytes(self, event: Any) -> None:
        """Store the first frame of a binary message."""
        self._waiting = len(event.data)
        super().handle_bytes(event)
        self._taken(event)

    def handle_cont(self, event: Any) -> None:
        """Store a further frame of a message; a message with too many frames ends the connection."""
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
        """Pass a whole message, or its last part, to the app."""
        if self._in_parts:
            self._hand_on(more=False)
        else:
            super().send_receive_event_to_app()

    def _hand_on(self, *, more: bool) -> None:
        data = b"".join(self.frames)
        self.frames, self._waiting = [], 0
        if self.close_sent:  # the app is no longer interested
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
        """Answer a ping; end the connection after PINGS unread answers."""
        super().handle_ping()
        self._pings = 0 if self.writable.is_set() else self._pings + 1
        if self._pings > PINGS:
            self.transport.abort()
