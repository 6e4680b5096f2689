"""A real Redis or Valkey server on a Unix socket, that a test can stop, freeze and start again."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.waiting import PATIENCE_S, until

PROGRAM = shutil.which("valkey-server") or shutil.which("redis-server")
MISSING = "needs a server: apt install valkey-server (or redis-server)"


class RedisServer:
    """One server with an empty database. Nothing is stored on disk, so it is empty again after a restart."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._socket = folder / "s"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"unix://{self._socket}"

    def start(self) -> None:
        assert PROGRAM is not None
        command = [
            PROGRAM,
            "--port",
            "0",
            "--unixsocket",
            str(self._socket),
            "--save",
            "",
            "--appendonly",
            "no",
            "--dir",
            str(self._folder),
        ]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until(self._responds, why=lambda: "the Redis server does not respond")

    def stop(self) -> None:
        if self._process is not None:
            self.resume()
            self._process.terminate()
            self._process.wait(PATIENCE_S)
            self._process = None
            self._socket.unlink(missing_ok=True)

    def freeze(self) -> None:
        """Let connections open and never respond."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def ask(self, command: str) -> str:
        """Return the response to a command without spaces in its arguments, as it is sent."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(PATIENCE_S)
            connection.connect(str(self._socket))
            connection.sendall(f"{command}\r\n".encode())
            return connection.recv(65_536).decode().strip()

    def _responds(self) -> bool:
        try:
            return self.ask("PING") == "+PONG"
        except OSError:
            return False


@contextmanager
def serve_redis() -> Iterator[RedisServer]:
    """Start a server. Skips the test if none is installed. The folder is not pytest's: a path of a Unix socket must be short."""
    if PROGRAM is None:
        pytest.skip(MISSING)
    with tempfile.TemporaryDirectory(prefix="os-redis-") as folder:
        server = RedisServer(Path(folder))
        server.start()
        try:
            yield server
        finally:
            server.stop()
