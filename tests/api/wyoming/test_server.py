from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmarks.served import free_port
from open_speech.api.wyoming.access import ConnectionLimit
from open_speech.api.wyoming.server import WyomingServer, serving
from open_speech.api.wyoming.service import Service
from open_speech.config import SettingsError
from tests.waiting import PATIENCE_S, eventually


@pytest.mark.parametrize("uri", ["tcp://0.0.0.0:10300", "tcp://[::1]:10300", "unix:///run/speech.sock", "stdio://"])
def test_these_are_addresses(uri: str) -> None:
    assert WyomingServer(uri).uri == uri


@pytest.mark.parametrize(
    "uri", ["", "10300", "tcp://host", "tcp://host:port", "tcp://host:99999", "tcp://:10300", "http://host:1", "unix://"]
)
def test_these_are_none_and_are_named(uri: str) -> None:
    with pytest.raises(SettingsError, match="tcp://host:port"):
        WyomingServer(uri)


def test_a_taken_port_is_an_os_error(tones: Service) -> None:
    async def scene(port: int) -> None:
        async with serving(WyomingServer(f"tcp://127.0.0.1:{port}"), ConnectionLimit(), tones):
            pass

    with socket.create_server(("127.0.0.1", 0)) as listener, pytest.raises(OSError, match="[Aa]ddress already in use"):
        asyncio.run(scene(listener.getsockname()[1]))


def test_a_unix_socket_of_a_living_server_is_not_taken_away(tones: Service, tmp_path: Path) -> None:
    path = tmp_path / "x.sock"

    async def scene() -> None:
        async with serving(WyomingServer(f"unix://{path}"), ConnectionLimit(), tones):
            with pytest.raises(OSError, match="another server listens on it"):
                async with serving(WyomingServer(f"unix://{path}"), ConnectionLimit(), tones):
                    pass
            reader, writer = await asyncio.open_unix_connection(path)
            writer.write(b'{"type": "ping"}\n')
            assert b"pong" in await asyncio.wait_for(reader.readline(), PATIENCE_S)
            writer.close()
            await writer.wait_closed()

    asyncio.run(scene())
    assert not path.exists()


def test_the_unix_socket_of_a_server_that_has_ended_is_replaced(tones: Service, tmp_path: Path) -> None:
    path = tmp_path / "x.sock"
    with socket.socket(socket.AF_UNIX) as ended:
        ended.bind(str(path))

    async def scene() -> None:
        async with serving(WyomingServer(f"unix://{path}"), ConnectionLimit(), tones):
            _, writer = await asyncio.open_unix_connection(path)
            writer.close()
            await writer.wait_closed()

    asyncio.run(scene())


def test_a_server_that_ends_closes_its_connections_and_frees_its_port(tones: Service, door: Callable[..., Any]) -> None:
    async def scene() -> None:
        async with door(tones) as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b'{"type": "audio-start", "data": {"rate": 16000, "width": 2, "channels": 1}}\n{"type": "ping"}\n')
            assert b"pong" in await reader.readline()
        async with asyncio.timeout(PATIENCE_S):
            await reader.read()
        writer.close()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port)

    asyncio.run(scene())


@pytest.mark.parametrize("says", [b"", b"garbage\n", b'{"type":"describe"}\n'])
def test_the_end_of_each_connection_is_reported(tones: Service, says: bytes) -> None:
    ended: list[None] = []

    async def scene() -> None:
        port = free_port()
        serves = serving(WyomingServer(f"tcp://127.0.0.1:{port}"), ConnectionLimit(), tones, after=lambda: ended.append(None))
        async with asyncio.timeout(PATIENCE_S), serves:
            for number in (1, 2):
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write(says)
                writer.close()
                await eventually(lambda number=number: len(ended) == number)

    asyncio.run(scene())
