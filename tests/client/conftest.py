"""A server on tones behind a real socket, and a relay in front of it whose connections a test can cut."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field

import pytest
import uvicorn
from fastapi import FastAPI

from open_speech.app import create_app
from open_speech.client import OpenSpeechClient, Retry
from open_speech.config import Settings
from runners.wiring.engine import local_engine
from tests.waiting import PATIENCE_S

KEY = "sesame"
SENTENCE = "Hello there world."


@contextmanager
def serving(settings: Settings) -> Iterator[str]:
    """Serve the whole application with its workers, in a thread; its address, without `/v1`."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.engine = local_engine(settings)
        async with app.state.jobs.working(app.state.engine):
            yield

    listener = socket.create_server(("127.0.0.1", 0))
    app = create_app(settings, lifespan=lifespan)
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False, lifespan="on", timeout_graceful_shutdown=2))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive(), "the server did not start"
        time.sleep(0.01)
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    server.should_exit = True
    thread.join(PATIENCE_S)
    listener.close()


@pytest.fixture(scope="session")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server on tones with the key KEY."""
    settings = Settings(
        os_models_dir=tmp_path_factory.mktemp("models"), os_api_key=KEY, os_offline=True,
        stt_backends=("tones-stt",), tts_backends=("tones-tts",), stt_model="tones/listen", tts_model="tones/speak", tts_voice="tone",
        stt_vad_enabled=False, os_voice_library_path=tmp_path_factory.mktemp("library"), os_jobs_dir=tmp_path_factory.mktemp("jobs"),
    )  # fmt: skip
    with serving(settings) as address:
        yield address


@pytest.fixture(scope="session")
def client(address: str) -> Iterator[OpenSpeechClient]:
    with OpenSpeechClient(address, KEY, connect_timeout_s=PATIENCE_S) as client:
        yield client


@pytest.fixture(scope="session")
def clip(client: OpenSpeechClient) -> bytes:
    """SENTENCE as a wav file."""
    return client.speak(SENTENCE, response_format="wav")


@pytest.fixture(scope="session")
def pcm(client: OpenSpeechClient) -> Callable[[str], bytes]:
    """Speak a text as PCM at 16 kHz."""
    return lambda text: client.speak(text, response_format="pcm", sample_rate=16_000)


@dataclass
class Relay:
    """Passes connections on to a server, as a network does, until it is told to cut them or to refuse new ones."""

    server: tuple[str, int]
    listener: socket.socket
    connections: int = 0
    """Connections that were accepted so far."""
    refuses: bool = False
    """Close each new connection at once."""
    open: list[socket.socket] = field(default_factory=list)
    """Both ends of the connections that were not cut."""
    ended: list[socket.socket] = field(default_factory=list)
    pumps: list[threading.Thread] = field(default_factory=list)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.listener.getsockname()[1]}"

    def serve(self) -> None:
        while True:
            try:
                near, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            if self.refuses:
                near.close()
                continue
            far = socket.create_connection(self.server)
            self.open += [near, far]
            for source, target in ((near, far), (far, near)):
                self.pumps.append(threading.Thread(target=pump, args=(source, target), daemon=True))
                self.pumps[-1].start()

    def cut(self) -> None:
        """End every connection in the middle, without a closing message."""
        ended, self.open = self.open, []
        self.ended += ended
        for one in ended:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Cut every connection and accept no more."""
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.cut()
        for thread in self.pumps:
            thread.join(PATIENCE_S)
        for one in self.ended:
            one.close()


def pump(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(16_384):
            target.sendall(data)
    for end in (source, target):
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


@contextmanager
def relaying(address: str) -> Iterator[Relay]:
    """A relay in front of a server."""
    host, port = address.removeprefix("http://").split(":")
    relay = Relay((host, int(port)), socket.create_server(("127.0.0.1", 0)))
    thread = threading.Thread(target=relay.serve, daemon=True)
    thread.start()
    yield relay
    relay.close()
    thread.join(PATIENCE_S)


@pytest.fixture
def relay(address: str) -> Iterator[Relay]:
    with relaying(address) as relay:
        yield relay


@pytest.fixture
def relayed(relay: Relay) -> Iterator[OpenSpeechClient]:
    """A client behind the relay."""
    with OpenSpeechClient(relay.address, KEY, connect_timeout_s=PATIENCE_S, retry=Retry(first_s=0.01)) as client:
        yield client
