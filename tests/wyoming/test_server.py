from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any

import pytest

from open_speech.config import SettingsError
from open_speech.wyoming.access import Admission
from open_speech.wyoming.server import Door, serving
from open_speech.wyoming.service import Service


@pytest.mark.parametrize("uri", ["tcp://0.0.0.0:10300", "tcp://[::1]:10300", "unix:///run/speech.sock", "stdio://"])
def test_these_are_addresses(uri: str) -> None:
    assert Door(uri).uri == uri


@pytest.mark.parametrize("uri", ["", "10300", "tcp://host", "tcp://host:port", "tcp://host:99999", "tcp://:10300", "http://host:1", "unix://"])
def test_these_are_none_and_are_named(uri: str) -> None:
    with pytest.raises(SettingsError, match="tcp://host:port"):
        Door(uri)


def test_a_taken_port_is_an_os_error(tones: Service) -> None:
    async def scene(port: int) -> None:
        async with serving(Door(f"tcp://127.0.0.1:{port}"), Admission(), tones):
            pass

    with socket.create_server(("127.0.0.1", 0)) as listener, pytest.raises(OSError, match="[Aa]ddress already in use"):
        asyncio.run(scene(listener.getsockname()[1]))


def test_a_server_that_ends_closes_its_connections_and_frees_its_port(tones: Service, door: Callable[..., Any]) -> None:
    async def scene() -> None:
        async with door(tones) as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b'{"type": "audio-start", "data": {"rate": 16000, "width": 2, "channels": 1}}\n{"type": "ping"}\n')
            assert b"pong" in await reader.readline()
        async with asyncio.timeout(5):
            await reader.read()
        writer.close()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port)

    asyncio.run(scene())
