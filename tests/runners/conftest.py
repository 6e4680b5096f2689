"""Servers that stand behind a backend and say what a test wants, and backends that ask them."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from open_speech import config
from open_speech.backends import Setup, Task
from runners.upstream import UpstreamSynthesizer, UpstreamTranscriber
from runners.wiring import factories as parts
from tests.waiting import PATIENCE_S

UPSTREAM_KEY = "sesame"


@dataclass(frozen=True)
class Seen:
    """One request that came."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    def field(self, name: str) -> list[str]:
        """Values of a field of a multipart form."""
        marked = [part for part in self.body.split(b"\r\n--") if f'name="{name}"\r\n'.encode() in part]
        return [part.partition(b"\r\n\r\n")[2].decode().rstrip("\r\n") for part in marked]


class Desk(BaseHTTPRequestHandler):
    """One request: what came is kept, and the next reply in line for its path is given."""

    protocol_version = "HTTP/1.1"
    server: Upstream

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.seen.append(Seen(self.command, self.path, dict(self.headers), body))
        replies = self.server.replies.get(self.path) or [json_reply({"detail": "Not Found"}, status=404)]
        (replies.pop(0) if len(replies) > 1 else replies[0])(self)

    do_GET = do_POST = _serve

    def say(self, status: int, kind: str, *pieces: bytes, headers: dict[str, str] | None = None, end: bool = True) -> None:
        """Answer in chunks; without an end the connection breaks off."""
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Transfer-Encoding": "chunked", "Connection": "close", **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        for piece in pieces:
            self.piece(piece)
        if end:
            self.wfile.write(b"0\r\n\r\n")
        self.close_connection = True

    def piece(self, data: bytes) -> None:
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


Reply = Callable[[Desk], None]


class Upstream(ThreadingHTTPServer):
    """A server of somebody else; `replies` of a path are given one after the other, the last again and again."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Desk)
        self.seen: list[Seen] = []
        self.replies: dict[str, list[Reply]] = {}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"

    def asked(self, path: str) -> list[Seen]:
        return [seen for seen in self.seen if seen.path == path]

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is no error here."""


def json_reply(data: Any, status: int = 200, **headers: str) -> Reply:
    return lambda management: management.say(status, "application/json", json.dumps(data).encode(), headers=headers)


@pytest.fixture(scope="session", name="json_reply")
def _json_reply() -> Callable[..., Reply]:
    """Make a reply of JSON."""
    return json_reply


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    """A server that says what its `replies` say, by path."""
    server = Upstream()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join(PATIENCE_S)
    server.server_close()


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
