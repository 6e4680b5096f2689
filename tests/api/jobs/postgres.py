"""A PostgreSQL server of the tests' own: in a folder, on a Unix socket, with nothing in common with one of the machine."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from tests.waiting import PATIENCE_S, until


def folder_of_binaries() -> Path | None:
    """Return the folder of `initdb` and `postgres`, which Debian does not have in PATH; None if there is no server."""
    found = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    if (in_path := shutil.which("initdb")) is not None:
        found.append(Path(in_path).parent)
    return max(found, default=None)


class Postgres:
    """A database server that can be stopped and started again."""

    def __init__(self, binaries: Path, folder: Path) -> None:
        self._binaries = binaries
        self._folder = folder
        self._server: subprocess.Popen[bytes] | None = None
        self._user: str | None = None
        if os.geteuid() == 0:  # it refuses to run as root
            self._user = next(name for name in ("postgres", "nobody") if any(one.pw_name == name for one in pwd.getpwall()))
            shutil.chown(folder, self._user)
        self.url = f"postgresql:///postgres?host={folder}&user=speech"

    def create(self) -> None:
        command = [
            self._binaries / "initdb",
            "-D",
            self._folder / "data",
            "-U",
            "speech",
            "--auth=trust",
            "-E",
            "UTF8",
            "--locale=C",
            "--no-sync",
        ]
        made = subprocess.run(command, user=self._user, cwd="/", capture_output=True, text=True, check=False, timeout=PATIENCE_S)
        assert made.returncode == 0, made.stderr

    def start(self) -> None:
        command = [self._binaries / "postgres", "-D", self._folder / "data", "-c", "listen_addresses=", "-c", "fsync=off"]
        command += ["-c", f"unix_socket_directories={self._folder}"]
        log = (self._folder / "log").open("wb")
        with log:
            self._server = subprocess.Popen(command, user=self._user, cwd="/", stdout=log, stderr=subprocess.STDOUT)
        until(self._answers, why=lambda: (self._folder / "log").read_text(encoding="utf-8", errors="replace"))

    def stop(self) -> None:
        """Stop it as an operator does: open connections are closed."""
        if self._server is not None:
            self._server.send_signal(signal.SIGINT)
            self._server.wait(PATIENCE_S)
            self._server = None

    def empty(self) -> None:
        with psycopg.connect(self.url) as connection:
            connection.execute("DROP TABLE IF EXISTS open_speech_jobs")

    def _answers(self) -> bool:
        try:
            with psycopg.connect(self.url) as connection:
                return connection.execute("SELECT 1").fetchone() == (1,)
        except psycopg.OperationalError:
            return False


@contextmanager
def running(binaries: Path) -> Iterator[Postgres]:
    """Run a new, empty server until the block ends."""
    # Not below pytest's own folders: the server's user may not enter them.
    folder = Path(tempfile.mkdtemp(prefix="open-speech-pg-"))
    server = Postgres(binaries, folder)
    try:
        server.create()
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)
