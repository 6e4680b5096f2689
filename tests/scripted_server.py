"""A server of somebody else on loopback, which answers what a test has prepared."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.waiting import PATIENCE_S


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

    @property
    def query(self) -> dict[str, list[str]]:
        """Parameters of the URL."""
        return parse_qs(urlsplit(self.path).query)

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
        exact = self.server.replies.get(self.path)
        replies = exact or self.server.replies.get(urlsplit(self.path).path) or [json_reply({"detail": "Not Found"}, status=404)]
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
        return f"{self.root}/v1"

    @property
    def root(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def asked(self, path: str) -> list[Seen]:
        return [seen for seen in self.seen if urlsplit(seen.path).path == path]

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is no error here."""


def json_reply(data: Any, status: int = 200, **headers: str) -> Reply:
    return lambda management: management.say(status, "application/json", json.dumps(data).encode(), headers=headers)


@contextmanager
def serving() -> Iterator[Upstream]:
    """Run a server that answers what its `replies` say, by path."""
    server = Upstream()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join(PATIENCE_S)
        server.server_close()
