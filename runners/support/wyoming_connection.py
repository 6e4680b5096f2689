"""A blocking connection to a Wyoming server for sending and receiving events, with deadlines and limits on message sizes."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any, BinaryIO, Self, cast
from urllib.parse import urlsplit

from wyoming.event import Event, read_event, write_event

from open_speech.errors import BackendFailed, BackendTimeout, BackendUnavailable
from runners.support.retry import Busy

CONNECT_S = 5.0
LONGEST_LINE = 4 << 20
"""Maximum bytes of a header: older servers put their whole info into it."""
LONGEST_PART = 16 << 20
"""Maximum bytes of one event's data, or of its payload."""
_READ_BYTES = 1 << 16


class WyomingConnection:
    """A connection, as a context manager. Raises Busy if the server is not reachable, BackendTimeout at the deadline."""

    def __init__(self, uri: str, deadline: float) -> None:
        """Connect to `tcp://host:port` or `unix:///path`; `deadline`, a time of `time.monotonic`, applies to all operations."""
        self._deadline = deadline
        self._buffer = bytearray()
        self._ended = False
        try:
            self._socket = _connected(uri, min(CONNECT_S, self._left()))
        except OSError as gone:
            raise Busy(BackendUnavailable("The Wyoming server cannot be reached: check its address.", retry_after_s=5)) from gone

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def send(self, kind: str, data: Mapping[str, Any] | None = None, payload: bytes | None = None) -> bool:
        """Send an event; False if the server has closed the connection, possibly after it sent an error event."""
        try:
            write_event(Event(kind, dict(data or {}), payload), cast("BinaryIO", self))
        except TimeoutError as late:
            raise BackendTimeout("The Wyoming server did not read the request in time.") from late
        except OSError:
            return False
        return True

    def events(self) -> Iterator[Event]:
        """Yield the server's events until it closes the connection. Raises BackendFailed for data that is not an event."""
        while True:
            try:
                event = read_event(cast("BinaryIO", self))
            except TimeoutError as late:
                raise BackendTimeout("The Wyoming server did not respond in time.") from late
            except (AttributeError, KeyError, TypeError) as odd:
                raise BackendFailed("The server at the Wyoming server's address does not use the Wyoming protocol.") from odd
            if event is not None and isinstance(event.data, dict):
                yield event
            elif self._ended:
                return
            else:
                raise BackendFailed("The server at the Wyoming server's address does not use the Wyoming protocol.")

    # The file interface that `wyoming.event` requires:

    def writelines(self, parts: tuple[bytes, ...]) -> None:
        """Send the parts of a message."""
        self.write(b"".join(parts))

    def write(self, data: bytes) -> None:
        """Send a part of a message."""
        self._socket.settimeout(self._left())
        self._socket.sendall(data)

    def flush(self) -> None:
        """Do nothing: writes are not buffered."""

    def readline(self) -> bytes:
        """Read one header; empty at the end of the stream."""
        at = 0
        while (end := self._buffer.find(b"\n", at)) < 0:
            at = len(self._buffer)
            if at > LONGEST_LINE:
                raise BackendFailed("The Wyoming server sent an endless message.")
            if not self._more():
                return b""
        return self._taken(end + 1)

    def read(self, size: int) -> bytes:
        """Read the next `size` bytes of a message; fewer at the end of the stream."""
        if size > LONGEST_PART:
            raise BackendFailed("The Wyoming server sent a message that is too long.")
        while len(self._buffer) < size and self._more():
            pass
        return self._taken(min(size, len(self._buffer)))

    def _taken(self, size: int) -> bytes:
        data = bytes(memoryview(self._buffer)[:size])
        del self._buffer[:size]
        return data

    def _more(self) -> bool:
        self._socket.settimeout(self._left())
        data = b""
        with suppress(ConnectionError):
            data = self._socket.recv(_READ_BYTES)
        self._buffer += data
        self._ended = not data
        return bool(data)

    def _left(self) -> float:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left


def _connected(uri: str, timeout_s: float) -> socket.socket:
    parts = urlsplit(uri)
    if parts.scheme == "unix":
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(timeout_s)
        try:
            connection.connect(parts.path)
        except OSError:
            connection.close()
            raise
        return connection
    connection = socket.create_connection((parts.hostname or "127.0.0.1", parts.port or 10300), timeout=timeout_s)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection
