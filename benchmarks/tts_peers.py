"""The contenders in speech synthesis: this server, the raw libraries, fastkokoro and wyoming-piper, each in its own processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Protocol

import httpx
import numpy as np
import psutil

from benchmarks.peers import ended, environment, wait_listening
from benchmarks.served import Served, free_port
from benchmarks.tts_report import Timing

FASTKOKORO = "fastkokoro[cpu]==0.7.0"
WYOMING = "wyoming-piper==2.5.2"
SCRIPT = Path(__file__).with_name("tts_peer_process.py")
ANSWER_S = 300
WAV_HEADER = 44
"""Bytes that this server sends before the audio."""
BYTES_PER_S = {"kokoro": 48_000, "piper": 44_100, "hibari": 48_000}
"""Bytes per second of 16-bit samples at the model's own rate."""


class Contender(Protocol):
    """A synthesizer, for one text at a time."""

    name: str

    def speak(self, text: str) -> Timing:
        """Synthesize a text as for a client; the result has no CPU time. Blocks."""
        ...

    def cpu_s(self) -> float:
        """Return the CPU seconds that its processes have used so far."""
        ...


@dataclass
class Ours:
    """One model of this project's running server, over HTTP."""

    name: str
    engine: str
    body: dict[str, object]
    served: Served
    client: httpx.Client

    def speak(self, text: str) -> Timing:
        # WAV keeps the model's own rate, so that nothing is resampled.
        body = self.body | {"input": text, "response_format": "wav"}
        return streamed(self.client, self.served.url, body, BYTES_PER_S[self.engine], header=WAV_HEADER)

    def cpu_s(self) -> float:
        return self.served.cpu_s()


@dataclass
class OverHttp:
    """Another server with OpenAI's endpoint, which streams on request."""

    name: str
    url: str
    body: dict[str, object]
    client: httpx.Client
    process: psutil.Process

    def speak(self, text: str) -> Timing:
        body = self.body | {"input": text, "response_format": "pcm", "stream": True}
        return streamed(self.client, self.url, body, BYTES_PER_S["kokoro"])

    def cpu_s(self) -> float:
        return cpu_of(self.process)


@dataclass
class Worker:
    """A `tts_peer_process`; `measured` is the process that does the work."""

    name: str
    process: subprocess.Popen[str]
    measured: psutil.Process

    def speak(self, text: str) -> Timing:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(text) + "\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline() or '{"error": "its process ended"}')
        if "error" in answer:
            raise RuntimeError(f"{self.name}: {answer['error']}")
        return Timing(**answer)

    def cpu_s(self) -> float:
        return cpu_of(self.measured)


def streamed(client: httpx.Client, url: str, body: dict[str, object], bytes_per_s: int, *, header: int = 0) -> Timing:
    """Send a request for speech, read the audio as it arrives, and return the times."""
    started = time.perf_counter()
    first, count = 0.0, -header
    with client.stream("POST", f"{url}/v1/audio/speech", json=body) as answer:
        answer.raise_for_status()
        for chunk in answer.iter_raw():
            count += len(chunk)
            if count > 0:
                first = first or time.perf_counter() - started
    return Timing(first, time.perf_counter() - started, count / bytes_per_s)


def cpu_of(process: psutil.Process) -> float:
    """Return the CPU seconds that a process and its children have used so far."""
    times = [each.cpu_times() for each in (process, *process.children(recursive=True))]
    return sum(each.user + each.system for each in times)


@contextmanager
def raw_kokoro(model: Path, voices: Path, voice: str) -> Iterator[Worker]:
    """Run kokoro-onnx in a process of its own."""
    with _worker(sys.executable, "kokoro", str(model), str(voices), voice) as worker:
        yield Worker(f"kokoro-onnx {version('kokoro-onnx')}", worker, psutil.Process(worker.pid))


@contextmanager
def raw_piper(model: Path) -> Iterator[Worker]:
    """Run piper-tts in a process of its own."""
    with _worker(sys.executable, "piper", str(model)) as worker:
        yield Worker(f"piper-tts {version('piper-tts')}", worker, psutil.Process(worker.pid))


@contextmanager
def raw_hibari(model: Path) -> Iterator[Worker]:
    """Run hibari-tts in a process of its own."""
    with _worker(sys.executable, "hibari", str(model)) as worker:
        yield Worker(f"hibari-tts {version('hibari-tts')}", worker, psutil.Process(worker.pid))


@contextmanager
def fastkokoro(model: Path, voices: Path, voice: str, work: Path) -> Iterator[OverHttp]:
    """Run fastkokoro on the same weights, in its own environment, which is created at the first run and kept.

    Raises CalledProcessError if it cannot be installed, ChildProcessError or TimeoutError if it does not listen.
    """
    programs, port = environment(FASTKOKORO, "fastkokoro"), free_port()
    settings = {"HOST": "127.0.0.1", "PORT": str(port), "MODEL_PATH": str(model), "VOICES_PATH": str(voices), "CACHE_DIR": str(work)}
    variables = os.environ | {f"FASTKOKORO_{name}": value for name, value in settings.items()} | {"HF_HUB_OFFLINE": "1"}
    started = subprocess.Popen([str(programs / "fastkokoro")], env=variables, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    with ended(started) as server, httpx.Client(timeout=ANSWER_S) as client:
        wait_listening(server, port, FASTKOKORO)
        body: dict[str, object] = {"model": "kokoro", "voice": voice, "lang": "en-us"}
        yield OverHttp(_named(FASTKOKORO), f"http://127.0.0.1:{port}", body, client, psutil.Process(server.pid))


@contextmanager
def wyoming_piper(folder: Path, voice: str) -> Iterator[Worker]:
    """Run wyoming-piper on the same weights, in its own environment. Raises as `fastkokoro` does."""
    programs, port = environment(WYOMING, "wyoming-piper"), free_port()
    uri = f"tcp://127.0.0.1:{port}"
    command = [str(programs / "wyoming-piper"), f"--uri={uri}", f"--voice={voice}", f"--data-dir={folder}", f"--download-dir={folder}"]
    with ExitStack() as stack:
        server = stack.enter_context(ended(subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)))
        wait_listening(server, port, WYOMING)
        worker = stack.enter_context(_worker(str(programs / "python"), "wyoming", uri, voice))
        yield Worker(_named(WYOMING), worker, psutil.Process(server.pid))


def all_voices(folder: Path, work: Path) -> Path:
    """Write the archive of all voices that the other engines expect, from the files of single voices; return its path."""
    path = work / "voices.npz"
    np.savez(path, **{file.stem: np.fromfile(file, "<f4").reshape(510, 1, 256) for file in folder.glob("*.bin")})
    return path


def _named(package: str) -> str:
    return package.replace("[cpu]", "").replace("==", " ")


@contextmanager
def _worker(python: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    # -P: nothing is imported from the folder of the script.
    command = [python, "-P", str(SCRIPT), *arguments]
    with ended(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)) as worker:
        yield worker
