"""A real HTTP server on loopback that plays hub, file host and package index, and says what it was asked."""

from __future__ import annotations

import hashlib
import io
import json
import re
import tarfile
import threading
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from open_speech.backends import ModelEntry, Task
from open_speech.model_files import Source, WeightFile
from open_speech.weights import Reach, Store
from open_speech.weights.hub import Hub
from open_speech.weights.index import PackageIndex
from open_speech.weights.pip_config import PipConfig
from tests.waiting import PATIENCE_S

COMMIT = "c0ffee" * 6 + "c0ff"


@dataclass
class Shelf:
    """What the server holds and how it behaves; tests change it while it runs."""

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    types: dict[str, str] = field(default_factory=dict)
    headers: dict[str, dict[str, str]] = field(default_factory=dict)
    statuses: dict[str, int] = field(default_factory=dict)
    cuts: dict[str, list[int]] = field(default_factory=dict)
    """Path -> bodies break off after so many bytes, one entry per request."""
    ranges: bool = True
    gate: threading.Event = field(default_factory=threading.Event)
    """Bodies wait for it."""
    asked: list[str] = field(default_factory=list)
    """`METHOD path`, with ` bytes=…` for a range, in order."""
    seen_headers: list[dict[str, str]] = field(default_factory=list)

    def gets(self, path: str) -> list[str]:
        return [line for line in self.asked if line.startswith(f"GET {path}") and line[4 + len(path) :][:1] in ("", " ")]

    def host_repo(self, repo: str, files: dict[str, bytes], revision: str = "main") -> None:
        """Serve a hub repository; files of 100 bytes and more are `large`, so the hub tells their hash."""
        listing = {"id": repo, "sha": COMMIT, "siblings": [{"rfilename": name} for name in files]}
        for name in (revision, COMMIT):
            self.files[f"/api/models/{repo}/revision/{name}"] = json.dumps(listing).encode()
            for path, content in files.items():
                at = f"/{repo}/resolve/{name}/{path}"
                self.files[at] = content
                self.headers[at] = {"X-Repo-Commit": COMMIT}
                if len(content) >= 100:
                    self.headers[at] |= {"X-Linked-Etag": f'"{sha256(content)}"', "X-Linked-Size": str(len(content))}

    def host_archive(self, project: str, filename: str, content: bytes) -> None:
        """Serve an archive on the package index at /simple."""
        self.files[f"/files/{filename}"] = content
        self.files[f"/simple/{project}/"] = f'<a href="../../files/{filename}#sha256={sha256(content)}">{filename}</a>'.encode()
        self.types[f"/simple/{project}/"] = "text/html"


def _handler(shelf: Shelf) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            self._answer(body=False)

        def do_GET(self) -> None:
            self._answer(body=True)

        def _answer(self, *, body: bool) -> None:
            asked_range = self.headers.get("Range", "")
            shelf.asked.append(f"{self.command} {self.path} {asked_range}".strip())
            shelf.seen_headers.append({name.lower(): value for name, value in self.headers.items()})
            content = shelf.files.get(self.path)
            status = shelf.statuses.get(self.path, 200 if content is not None else 404)
            content, start = content if status == 200 and content is not None else b"", 0
            if status == 200 and shelf.ranges and (match := re.match(r"bytes=(\d+)-", asked_range)):
                start = int(match[1])
                status = 206 if start < len(content) else 416
            rest = content[start:] if status != 416 else b""
            self.send_response(status)
            headers = {"Content-Length": str(len(rest)), "Content-Type": shelf.types.get(self.path, "application/octet-stream")}
            if status == 206:
                headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
            for name, value in (headers | shelf.headers.get(self.path, {})).items():
                self.send_header(name, value)
            self.end_headers()
            if not body:
                return
            shelf.gate.wait(PATIENCE_S)
            cuts = shelf.cuts.get(self.path)
            if cuts:
                self.wfile.write(rest[: cuts.pop(0)])
                self.close_connection = True
            else:
                self.wfile.write(rest)

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    return Handler


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: clients that leave early are what these tests are about."""


@pytest.fixture
def shelf() -> Iterator[Shelf]:
    shelf = Shelf()
    shelf.gate.set()
    server = _Server(("127.0.0.1", 0), _handler(shelf))
    shelf.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield shelf
    shelf.gate.set()
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def hub_cache(tmp_path: Path) -> Path:
    return tmp_path / "hub-cache"


@pytest.fixture
def make_store(shelf: Shelf, tmp_path: Path, hub_cache: Path) -> Callable[..., Store]:
    """Build stores over one models folder, whose hub and index are the local server (or another base URL)."""

    def make(*, url: str = "", offline: bool = False, reach: Reach | None = None) -> Store:
        reach = reach or Reach(deadline_s=2)
        base = url or shelf.url
        index = PackageIndex(PipConfig((f"{base}/simple",)))
        return Store(tmp_path / "models", offline=offline, hub=Hub(reach, base, hub_cache), index=index, reach=reach)

    return make


@pytest.fixture
def store(make_store: Callable[..., Store]) -> Store:
    return make_store()


@pytest.fixture
def make_model() -> Callable[..., ModelEntry]:
    """Build a catalog row; `files` maps a path to the content whose hash the row names."""

    def make(files: dict[str, bytes], *sources: Source, id: str = "acme/model") -> ModelEntry:
        rows = tuple(WeightFile(path, sha256(content), len(content)) for path, content in files.items())
        return ModelEntry(id, "faster-whisper", Task.STT, "MIT", ("en",), files=rows, sources=sources)

    return make


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def hashed() -> Callable[[bytes], str]:
    return sha256


@pytest.fixture
def wheel() -> Callable[[dict[str, bytes]], bytes]:
    """Pack members as a wheel is packed."""

    def pack(members: dict[str, bytes]) -> bytes:
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in members.items():
                archive.writestr(name, content)
        return buffer.getvalue()

    return pack


@pytest.fixture
def sdist() -> Callable[[dict[str, bytes]], bytes]:
    """Pack members as an sdist is packed."""

    def pack(members: dict[str, bytes]) -> bytes:
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
            for name, content in members.items():
                info = tarfile.TarInfo(name)
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
        return buffer.getvalue()

    return pack
