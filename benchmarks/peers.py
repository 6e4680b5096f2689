"""The contenders: this server, the raw library, and the Wyoming server, each in its own processes so that CPU time can be attributed."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
import venv
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import AnyStr, Protocol

import httpx
import psutil

from benchmarks.corpus import Clip
from benchmarks.served import Served, free_port
from open_speech import config

WYOMING = "wyoming-faster-whisper==3.8.1"
SCRIPT = Path(__file__).with_name("peer_process.py")
START_S = 120
ANSWER_S = 3600
"""An hour of audio on two busy cores is the longest job."""
PAUSE_S = 0.3
"""Pause before each turn: idle threads of the previous contender still spin, and would take a core from the next."""


class Contender(Protocol):
    """A recognizer; `transcribe` may be called from many threads."""

    name: str

    def transcribe(self, clip: Clip) -> str:
        """Transcribe a clip as a client would. Blocks."""
        ...

    def cpu_s(self) -> float:
        """Return the CPU seconds that its processes have used so far."""
        ...

    def memory_mb(self) -> float:
        """Return the memory (PSS) of its processes, in MB."""
        ...


@dataclass
class Ours:
    """One model of this project's running server, over HTTP."""

    name: str
    model: str
    service: str
    served: Served
    client: httpx.Client

    def transcribe(self, clip: Clip) -> str:
        with clip.path.open("rb") as file:
            answer = self.client.post("/v1/audio/transcriptions", files={"file": (clip.path.name, file)}, data=self._fields())
        return str(answer.raise_for_status().json()["text"])

    def transcribe_streamed(self, clip: Clip) -> tuple[float, str]:
        """Transcribe with `stream`; return the seconds to the first piece of text, and the whole text."""
        first, started = 0.0, time.perf_counter()
        with (
            clip.path.open("rb") as file,
            self.client.stream(
                "POST", "/v1/audio/transcriptions", files={"file": (clip.path.name, file)}, data=self._fields() | {"stream": "true"}
            ) as answer,
        ):
            answer.raise_for_status()
            for line in answer.iter_lines():
                event = json.loads(line.removeprefix("data: ")) if line else {}
                if event.get("type") == "transcript.text.delta" and not first:
                    first = time.perf_counter() - started
                if event.get("type") == "transcript.text.done":
                    return first, str(event["text"])
        raise ConnectionError("the stream ended before the text was done")

    def cpu_s(self) -> float:
        return self.served.cpu_s()

    def memory_mb(self) -> float:
        memory = self.served.memory_mb()
        return sum(memory.get(name, 0.0) for name in ("arbiter", "open_speech", self.service))

    def _fields(self) -> dict[str, str]:
        return {"model": self.model, "language": "en"}


@dataclass
class Peer:
    """Another engine behind a `peer_process`; `measured` is the process that does the work."""

    name: str
    worker: subprocess.Popen[str]
    measured: psutil.Process
    _waiting: dict[str, Future[str]] = field(default_factory=dict)
    _turn: threading.Lock = field(default_factory=threading.Lock)
    _ids: Iterator[int] = field(default_factory=count)

    def transcribe(self, clip: Clip) -> str:
        answer: Future[str] = Future()
        with self._turn:
            job = str(next(self._ids))
            self._waiting[job] = answer
            assert self.worker.stdin is not None
            self.worker.stdin.write(json.dumps({"id": job, "path": str(clip.path)}) + "\n")
            self.worker.stdin.flush()
        return answer.result(ANSWER_S)

    def listen(self) -> None:
        """Pass every answer to the waiting caller, until the worker ends."""
        assert self.worker.stdout is not None
        for line in self.worker.stdout:
            answer = json.loads(line)
            if answer["id"] == "ready":
                continue
            waiting = self._waiting.pop(answer["id"])
            if "error" in answer:
                waiting.set_exception(RuntimeError(f"{self.name}: {answer['error']}"))
            else:
                waiting.set_result(answer["text"])
        for waiting in self._waiting.values():
            waiting.set_exception(RuntimeError(f"{self.name}: its process ended"))

    def cpu_s(self) -> float:
        times = [process.cpu_times() for process in self._processes()]
        return sum(each.user + each.system for each in times)

    def memory_mb(self) -> float:
        return sum(process.memory_full_info().pss for process in self._processes()) / 1e6

    def _processes(self) -> list[psutil.Process]:
        return [self.measured, *self.measured.children(recursive=True)]


@contextmanager
def library(name: str, kind: str, folder: Path) -> Iterator[Peer]:
    """Run the raw faster-whisper library in a child: `kind` is `sequential` or `batched`."""
    with _worker(sys.executable, kind, str(folder), str(cores())) as worker:
        yield _listening(Peer(name, worker, psutil.Process(worker.pid)))


@contextmanager
def wyoming(folder: Path) -> Iterator[Peer]:
    """Run the Wyoming server on the same weights, in its own environment, which is created at the first run and kept.

    Raises CalledProcessError if it cannot be installed, TimeoutError if it does not listen.
    """
    python, port = environment(WYOMING, "wyoming-faster-whisper") / "python", free_port()
    options = {
        "uri": f"tcp://127.0.0.1:{port}", "model": str(folder), "stt-library": "faster-whisper", "language": "en", "device": "cpu",
        "compute-type": "int8", "beam-size": "5", "cpu-threads": str(cores()), "data-dir": str(folder), "download-dir": str(folder),
    }  # fmt: skip
    command = [str(python), "-m", "wyoming_faster_whisper", "--local-files-only", *(f"--{key}={value}" for key, value in options.items())]
    with ExitStack() as stack:
        server = stack.enter_context(ended(subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)))
        wait_listening(server, port, WYOMING)
        worker = stack.enter_context(_worker(str(python), "wyoming", options["uri"]))
        yield _listening(Peer("wyoming-faster-whisper", worker, psutil.Process(server.pid)))


def cores() -> int:
    """Count the CPU cores this process may use."""
    return len(os.sched_getaffinity(0))


def environment(package: str, program: str) -> Path:
    """Return the folder of programs in an environment with a package from the index, created at the first run and kept.

    `program` exists when the installation is complete. Raises CalledProcessError if the package cannot be installed.
    """
    folder = config.load().models_dir.parent / "benchmarks" / re.sub(r"\[.*\]", "", package)
    programs = folder / "bin"
    if not (programs / program).exists():
        venv.create(folder, with_pip=True)
        subprocess.run([str(programs / "python"), "-m", "pip", "install", "-qq", "--disable-pip-version-check", package], check=True)
    return programs


@contextmanager
def _worker(python: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    # -P: nothing is imported from the folder of the script.
    command = [python, "-P", str(SCRIPT), *arguments]
    with ended(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)) as worker:
        yield worker


def _listening(peer: Peer) -> Peer:
    threading.Thread(target=peer.listen, daemon=True).start()
    return peer


@contextmanager
def ended(process: subprocess.Popen[AnyStr]) -> Iterator[subprocess.Popen[AnyStr]]:
    """Terminate a process at the end of the block, and kill it after 10 s."""
    try:
        yield process
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(10)
        process.kill()


def wait_listening(server: subprocess.Popen[bytes], port: int, name: str) -> None:
    """Wait until a server listens. Raises ChildProcessError if it ends first, TimeoutError after START_S seconds."""
    end = time.monotonic() + START_S
    while time.monotonic() < end:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        if server.poll() is not None:
            raise ChildProcessError(f"{name} ended with {server.returncode}")
        time.sleep(0.1)
    raise TimeoutError(f"{name} does not listen")
