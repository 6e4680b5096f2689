"""The Wyoming server: its address, its start and its shutdown."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

from wyoming.event import async_get_stdin, async_get_stdout
from wyoming.server import AsyncServer

from open_speech.api.wyoming.access import ConnectionLimit
from open_speech.api.wyoming.address import PIPE as PIPE
from open_speech.api.wyoming.address import WyomingServer as WyomingServer
from open_speech.api.wyoming.announcing import announced
from open_speech.api.wyoming.connection import Connection
from open_speech.api.wyoming.service import Service
from open_speech.http import unix_sockets

log = logging.getLogger("open_speech.wyoming")

STOP_S = 3.0
"""Seconds in which connections may end at shutdown."""


@asynccontextmanager
async def serving(
    address: WyomingServer, admission: ConnectionLimit, service: Service, *, after: Callable[[], None] | None = None
) -> AsyncIterator[None]:
    """Serve TCP or a Unix socket as long as the block lasts; `after` is called when a connection has ended.

    The file of a Unix socket is removed at the end; a stale file is replaced. Raises OSError if the server cannot listen at the address.
    """
    parts = urlsplit(address.uri)
    socket_path = Path(parts.path) if parts.scheme == "unix" else None
    # asyncio would remove the socket file of a server that is listening on it.
    if socket_path is not None and (problem := await asyncio.to_thread(unix_sockets.trouble, socket_path)):
        raise OSError(problem)
    server = AsyncServer.from_uri(address.uri)
    connections: set[Connection] = set()

    def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Connection:
        connections.difference_update([connection for connection in connections if connection.ended.is_set()])
        connection = Connection(reader, writer, admission, service, after)
        connections.add(connection)
        return connection

    async def stop() -> None:
        await server.stop()
        with suppress(TimeoutError):
            async with asyncio.timeout(STOP_S):
                for connection in connections:
                    await connection.ended.wait()

    async with AsyncExitStack() as stack:
        await server.start(connect)
        if socket_path is not None:
            stack.callback(unix_sockets.remove, socket_path, unix_sockets.identity_of(socket_path))
        stack.push_async_callback(stop)
        log.info("Wyoming on %s", address.uri)
        if address.announce is not None and parts.scheme == "tcp":
            await stack.enter_async_context(announced(address.announce, parts.hostname or "", parts.port or 0))
        yield


async def serve_pipe(service: Service) -> None:
    """Serve the one client on stdin and stdout, until it disconnects."""
    await Connection(await async_get_stdin(), await async_get_stdout(), ConnectionLimit(), service).run()
