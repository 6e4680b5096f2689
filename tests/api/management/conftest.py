"""An app over the tones pair, and a hub of the test's own from which a further model can be fetched."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from open_speech.app import create_app
from open_speech.backends import BackendEntry, ModelEntry, Task
from open_speech.config import Settings
from open_speech.dispatch.client import RunnerClient
from open_speech.engine import Engine
from open_speech.model_files import UrlSource, WeightFile
from open_speech.registry import Defaults, Registry
from open_speech.weights import Store
from runners.host.host import Host, HostOptions
from runners.tones import TonesSynthesizer
from tests.engines import engine_over
from tests.waiting import PATIENCE_S

CONTENT = b"weights " * 8192


@dataclass
class FileHost:
    """A file server whose bodies wait for `gate`, and which counts what it was asked."""

    url: str = ""
    gate: threading.Event = field(default_factory=threading.Event)
    asked: int = 0
    status: int = 200


@pytest.fixture
def file_host() -> Iterator[FileHost]:
    host = FileHost()
    host.gate.set()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            host.asked += 1
            self.send_response(host.status)
            self.send_header("Content-Length", str(len(CONTENT)))
            self.end_headers()
            self.wfile.write(CONTENT[:4096])
            self.wfile.flush()
            host.gate.wait(PATIENCE_S)
            self.wfile.write(CONTENT[4096:])

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.handle_error = lambda *_: None  # type: ignore[method-assign] - clients that leave are what some tests are about
    host.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield host
    host.gate.set()
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def engine(file_host: FileHost, tmp_path: Path) -> Engine:
    """One backend in this process with a model that is ready (`tones/speak`) and one whose file has to be fetched (`toy/tones`)."""
    backend = BackendEntry("tones-tts", Task.TTS, "runners.tones:TonesSynthesizer", (), "", "MIT", open_ended=True)
    ready = ModelEntry("tones/speak", backend.name, Task.TTS, "MIT", ("en",), default_voice="tone")
    files, sources = (WeightFile("a.bin", None, len(CONTENT)),), (UrlSource({"a.bin": f"{file_host.url}/a.bin"}),)
    toy = ModelEntry("toy/tones", backend.name, Task.TTS, "MIT", ("en",), files=files, sources=sources)
    registry = Registry([backend], [ready, toy], {backend.name: "inproc"}, Defaults("", ready.id, "tone"))
    host = Host(TonesSynthesizer, registry, Store(tmp_path), HostOptions(heartbeat_s=0.02), threads=1)
    client = RunnerClient(backend.name, host, deadline_s=5)
    return engine_over(registry, {backend.name: client})


@pytest.fixture
def app(engine: Engine) -> FastAPI:
    return create_app(Settings(tts_backends=("tones-tts",), stt_backends=("tones-stt",), os_model_ttl=300), engine)


@pytest.fixture
def client(app: FastAPI) -> Iterator[TestClient]:
    with TestClient(app) as client:
        yield client


def events(text: str) -> list[dict[str, Any]]:
    """The data of server-sent events."""
    return [json.loads(line.removeprefix("data: ")) for line in text.splitlines() if line.startswith("data: ")]


@pytest.fixture
def events_of() -> Any:
    return events
