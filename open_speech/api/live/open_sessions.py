"""The Live sessions in progress, by id."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager

from open_speech.api.live.connection import Connection
from open_speech.api.live.errors import UnknownSession

STOP_S = 2.0
"""Seconds in which a client is informed that its session ends."""


class LiveSessions:
    """The sessions in progress, by id."""

    def __init__(self) -> None:
        self._open: dict[str, Connection] = {}

    @contextmanager
    def listed(self, connection: Connection) -> Iterator[None]:
        """List a session during the block."""
        self._open[connection.session.id] = connection
        try:
            yield
        finally:
            del self._open[connection.session.id]

    def find(self, session_id: str, holder: str) -> Connection:
        """Return a session of an API key. Raises UnknownSession."""
        connection = self._open.get(session_id)
        if connection is None or connection.holder != holder or connection.session.is_closed:
            raise UnknownSession("No session in progress has this id.")
        return connection

    async def expire(self, within_s: float = STOP_S) -> None:
        """End all sessions because the server stops, and wait until their clients have been informed, at most `within_s` seconds."""
        for connection in [*self._open.values()]:
            connection.end("expired")
        ends = time.monotonic() + within_s
        while self._open and time.monotonic() < ends:
            await asyncio.sleep(0.05)
