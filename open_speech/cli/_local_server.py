"""The server of `--local`: the whole application in a thread of this process, on a free port of the loopback address."""

from __future__ import annotations

import secrets
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import click
import uvicorn

from open_speech.app import create_app
from open_speech.backends import Task
from open_speech.cli import _terminal as terminal
from open_speech.cli import _weights as weights
from runners.wiring import factories as parts
from runners.wiring.engine import local_engine

STARTED_WITHIN_S = 60.0
STOPPED_WITHIN_S = 15.0


@contextmanager
def local_server() -> Iterator[tuple[str, str]]:
    """Download missing weights and serve until the block ends; yield the URL, and the key without which nobody can use it."""
    key = secrets.token_urlsafe(24)
    settings = terminal.settings(OS_API_KEY=key, OS_ROOT_PATH="", OS_RATE_LIMIT="0")
    engine = local_engine(settings)
    defaults = engine.registry.defaults
    models = [engine.registry.find(defaults.stt_model, Task.STT), engine.registry.find(defaults.tts_model, Task.TTS)]
    weights.pull(parts.store(settings), models)
    with parts.decoding(settings, at_once=False), socket.create_server(("127.0.0.1", 0)) as listener:
        config = uvicorn.Config(create_app(settings, engine), log_config=None, access_log=False, lifespan="on", timeout_graceful_shutdown=2)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        try:
            deadline = time.monotonic() + STARTED_WITHIN_S
            while not server.started:
                if not thread.is_alive() or time.monotonic() > deadline:
                    raise click.ClickException("The local server did not start: run `open-speech doctor`.")
                time.sleep(0.02)
            yield f"http://127.0.0.1:{listener.getsockname()[1]}", key
        finally:
            server.should_exit = True
            thread.join(STOPPED_WITHIN_S)
