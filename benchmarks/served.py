"""A context manager that runs the server as a user starts it, for benchmarks and for the served tests."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil

from open_speech.http.unix_sockets import is_served

ROOT = Path(__file__).resolve().parent.parent


@dataclass
class Served:
    """A running server: its address and its processes."""

    url: str
    process: subprocess.Popen[bytes]
    log: Path
    ready_s: float = 0.0
    """Seconds from the start of the command until the server was ready."""
    unix_socket: str | None = None
    """Path of the Unix socket that it listens on; None for a port."""

    def client(self) -> httpx.Client:
        """Return an HTTP client that is connected to this server, for paths such as `/health`."""
        return httpx.Client(base_url=self.url, transport=httpx.HTTPTransport(uds=self.unix_socket), timeout=60)

    @property
    def base_url(self) -> str:
        """`base_url` for the OpenAI SDK."""
        return self.url + "/v1"

    def processes(self) -> list[psutil.Process]:
        """List the arbiter and all its children."""
        arbiter = psutil.Process(self.process.pid)
        return [arbiter, *arbiter.children(recursive=True)]

    def pid_of(self, service: str) -> int:
        """Return the pid of one BentoML service, for example `kokoro`; the front process is `open_speech`."""
        for process in self.processes():
            with suppress(psutil.Error):
                command = process.cmdline()
                if "--service-name" in command and command[command.index("--service-name") + 1] == service:
                    return process.pid
        raise LookupError(service)

    def kill(self, service: str) -> int:
        """Kill the process of one service (SIGKILL); return its pid."""
        pid = self.pid_of(service)
        os.kill(pid, signal.SIGKILL)
        return pid

    def cpu_s(self, *, ended: bool = False) -> float:
        """Return the CPU seconds that all living processes have used so far; with `ended`, also their children that have ended."""
        total = 0.0
        for process in self.processes():
            with suppress(psutil.Error):
                times = process.cpu_times()
                total += times.user + times.system
                total += times.children_user + times.children_system if ended else 0.0
        return total

    def memory_mb(self) -> dict[str, float]:
        """Return the proportional memory (PSS) in MB of each process, by service name; the arbiter is `arbiter`.

        Raises psutil.AccessDenied if neither the server runs with MEASURED nor this process as root.
        """
        found: dict[str, float] = {}
        for process in self.processes():
            with suppress(psutil.NoSuchProcess):
                command = process.cmdline()
                name = command[command.index("--service-name") + 1] if "--service-name" in command else "arbiter"
                found[name] = found.get(name, 0.0) + process.memory_full_info().pss / 1e6
        return found


def free_port() -> int:
    """Return an unused loopback port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


MEASURED = {"OS_DUMPABLE": "true"}
"""Settings that allow the server's own user, and not only root, to read its memory and descriptors."""


@contextmanager
def serve(
    settings: Mapping[str, str] | None = None,
    *options: str,
    target: str = "service:OpenSpeech",
    command: Sequence[str] = (),
    ready_within_s: float = 300,
    host: str = "127.0.0.1",
    port: int | None = None,
) -> Iterator[Served]:
    """Run `bentoml serve TARGET` on a loopback address with these settings and command-line options, until the block ends.

    It listens on `port`, by default a free one, or with OS_UNIX_SOCKET in the settings on that socket. `command` replaces the beginning of
    that command, for example by `open-speech serve`.

    Raises TimeoutError or ChildProcessError, with the end of the log, if it does not become ready.
    """
    port = port or free_port()
    with tempfile.TemporaryDirectory(prefix="open-speech-served-") as folder:
        log = Path(folder) / "log"
        prefixes = ("OS_", "STT_", "TTS_", "BENTOML_")
        environment = {name: value for name, value in os.environ.items() if not name.startswith(prefixes)}
        environment |= {"BENTOML_HOME": folder, "BENTOML_DO_NOT_TRACK": "True", "BENTOML_DISABLE_GPU_ALLOCATION": "1"}
        # Most tests and benchmarks are about processes that are there; those of the start say otherwise.
        environment |= {"OS_JOBS_DIR": f"{folder}/jobs", "OS_START_RUNNERS": "eager"}
        environment |= settings or {}
        own = [*options, "--timeout-graceful-shutdown", "5"]
        whole = [*(command or [sys.executable, "-m", "bentoml", "serve", target]), "--host", host, "--port", str(port)]
        whole += [] if command else own
        started = time.monotonic()
        with log.open("wb") as output:
            process = subprocess.Popen(whole, cwd=ROOT, env=environment, stdout=output, stderr=subprocess.STDOUT)
        path = (settings or {}).get("OS_UNIX_SOCKET")
        url = "http://localhost" if path else f"http://{f'[{host}]' if ':' in host else host}:{port}"
        served = Served(url, process, log, unix_socket=path)
        try:
            _wait_ready(served, started, ready_within_s)
            yield served
        finally:
            _stop(served)


def _wait_ready(served: Served, started: float, within_s: float) -> None:
    while True:
        if _is_ready(served):
            served.ready_s = time.monotonic() - started
            return
        if served.process.poll() is not None:
            raise ChildProcessError(served.log.read_text(errors="replace")[-3000:])
        if time.monotonic() - started > within_s:
            raise TimeoutError(served.log.read_text(errors="replace")[-3000:])
        time.sleep(0.05)


def _is_ready(served: Served) -> bool:
    if served.unix_socket is not None and not is_served(Path(served.unix_socket)):
        return False  # httpcore leaves its socket open when it cannot connect
    with suppress(httpx.HTTPError), served.client() as client:
        return client.get("/readyz", timeout=10).status_code == 200
    return False


def _stop(served: Served) -> None:
    with suppress(psutil.Error):
        children = served.processes()
        served.process.terminate()
        _, alive = psutil.wait_procs(children, timeout=20)
        for process in alive:
            with suppress(psutil.Error):
                process.kill()
    served.process.wait(5)
