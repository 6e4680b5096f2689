"""Servers that stand behind a backend and say what a test wants, and backends that ask them."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from open_speech import config
from open_speech.backends import Setup, Task
from runners.upstream import UpstreamSynthesizer, UpstreamTranscriber
from runners.wiring import factories as parts
from tests.scripted_server import Reply, Upstream, json_reply, serving

UPSTREAM_KEY = "sesame"


@pytest.fixture(scope="session", name="json_reply")
def _json_reply() -> Callable[..., Reply]:
    """Make a reply of JSON."""
    return json_reply


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    """A server that says what its `replies` say, by path."""
    with serving() as server:
        yield server


def _upstream_setup(model: str, task: Task, url: str, **settings: str) -> Setup:
    """What a backend is built from that asks `url` for a model; what the settings name it knows beforehand."""
    name, at = ("upstream", "STT_UPSTREAM_") if task is Task.STT else ("upstream-tts", "TTS_UPSTREAM_")
    chosen = config.load({at + "URL": url, at + "API_KEY": UPSTREAM_KEY} | {at + key: value for key, value in settings.items()})
    registry = parts.registry(chosen, {name: "process"})
    return Setup(registry.find(f"upstream/{model}", task), Path(), settings=parts.host_options(chosen, name).settings)


@pytest.fixture(scope="session")
def listener() -> Callable[..., UpstreamTranscriber]:
    """Load a recogniser of a server: its address, the model, and more of STT_UPSTREAM_*."""

    def load(url: str, model: str = "whisper-1", **settings: str) -> UpstreamTranscriber:
        made = UpstreamTranscriber(_upstream_setup(model, Task.STT, url, **settings))
        made.load()
        return made

    return load


@pytest.fixture(scope="session")
def speaker() -> Callable[..., UpstreamSynthesizer]:
    """Load a synthesiser of a server: its address, the model, and more of TTS_UPSTREAM_*."""

    def load(url: str, model: str = "tts-1", **settings: str) -> UpstreamSynthesizer:
        made = UpstreamSynthesizer(_upstream_setup(model, Task.TTS, url, **settings))
        made.load()
        return made

    return load


@dataclass
class WyomingPeer:
    """A Wyoming server of somebody else: `says` are the bytes that follow each kind of event, or what to do on it."""

    says: dict[str, bytes | Callable[[socket.socket], None]]
    heard: list[tuple[str, dict[str, Any], bytes]] = field(default_factory=list)
    connections: int = 0
    port: int = 0

    @property
    def uri(self) -> str:
        return f"tcp://127.0.0.1:{self.port}"

    def events(self, kind: str) -> list[dict[str, Any]]:
        return [data for name, data, _ in self.heard if name == kind]

    def serve(self, connection: socket.socket) -> None:
        self.connections += 1
        with connection, connection.makefile("rb") as lines:
            while header := lines.readline():
                event = json.loads(header)
                data = json.loads(lines.read(event.get("data_length") or 0) or b"{}") | event.get("data", {})
                self.heard.append((event["type"], data, lines.read(event.get("payload_length") or 0)))
                answer = self.says.get(event["type"], b"")
                if callable(answer):
                    answer(connection)
                    return
                connection.sendall(answer)


@pytest.fixture
def wyoming_peer() -> Iterator[Callable[..., WyomingPeer]]:
    """Start Wyoming servers that say what they are told to."""
    with _peers() as start:
        yield start


@contextmanager
def _peers() -> Iterator[Callable[..., WyomingPeer]]:
    listeners: list[socket.socket] = []

    def start(says: dict[str, Any]) -> WyomingPeer:
        listener = socket.create_server(("127.0.0.1", 0))
        listeners.append(listener)
        peer = WyomingPeer(says, port=listener.getsockname()[1])

        def accept() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                threading.Thread(target=_quietly, args=(peer, connection), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        return peer

    yield start
    for listener in listeners:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


def _quietly(peer: WyomingPeer, connection: socket.socket) -> None:
    try:
        peer.serve(connection)
    except OSError:
        return  # the client left, as it may
