"""The configuration of deploy/haproxy in front of two runners: a server that knows one address of them. Needs HAProxy."""

from __future__ import annotations

import shutil
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from benchmarks.served import ROOT, Served, free_port, serve
from tests.waiting import PATIENCE_S, until

HAPROXY = shutil.which("haproxy")
pytestmark = [
    pytest.mark.served,
    pytest.mark.skipif(HAPROXY is None, reason="HAProxy is not installed: apt-get install haproxy"),
]

CALLERS = 16
TEXT = "the quick brown fox jumps over the lazy dog"
RUNNER = {"OS_OFFLINE": "true", "OS_MODEL_TTL": "0"}


@dataclass
class Behind:
    """The server, the two runners behind HAProxy, and speech to transcribe."""

    front: Served
    runners: tuple[Served, Served]
    proxy: str
    speech: bytes

    def transcribe(self) -> str:
        files, data = {"file": ("speech.wav", self.speech)}, {"model": "tones/listen"}
        answer = httpx.post(f"{self.front.base_url}/audio/transcriptions", files=files, data=data, timeout=PATIENCE_S)
        return str(answer.json()["text"]) if answer.status_code == 200 else answer.text


@pytest.fixture(scope="module")
def behind(tmp_path_factory: pytest.TempPathFactory, tones: dict[str, str]) -> Iterator[Behind]:
    folder, port = tmp_path_factory.mktemp("haproxy"), free_port()
    target = "tests.served.replica_runner:Runner"
    with serve(RUNNER, target=target) as one, serve(RUNNER, target=target) as two:
        config = (ROOT / "deploy/haproxy/runners.cfg").read_text(encoding="utf-8")
        for address, url in (("127.0.0.1:3000", f"127.0.0.1:{port}"), ("10.0.0.1:3000", one.url), ("10.0.0.2:3000", two.url)):
            assert f" {address}\n" in config
            config = config.replace(f" {address}\n", f" {url.removeprefix('http://')}\n")
        file = folder / "runners.cfg"
        file.write_text(config)
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen([str(HAPROXY), "-f", str(file), "-db"], stderr=log)
        try:
            url = f"http://127.0.0.1:{port}"
            until(lambda: is_ready(url), why=(folder / "log").read_text)
            with serve(
                tones | {"STT_BACKENDS": f"tones-stt@{url}", "TTS_BACKENDS": "tones-tts@inproc", "STT_VAD_ENABLED": "false"}
            ) as front:
                body = {"model": "tones/speak", "voice": "tone", "input": TEXT, "response_format": "wav"}
                speech = httpx.post(f"{front.base_url}/audio/speech", json=body, timeout=PATIENCE_S).content
                yield Behind(front, (one, two), url, speech)
        finally:
            process.terminate()
            process.wait(PATIENCE_S)


def is_ready(url: str) -> bool:
    with suppress(httpx.TransportError):
        return httpx.get(f"{url}/readyz", timeout=PATIENCE_S).status_code == 200
    return False


def has_model(runner: Served) -> bool:
    """Return whether a runner has its model, which it loads at the first call that it gets."""
    return bool(httpx.post(f"{runner.url}/status", json={}, timeout=PATIENCE_S).json()["loaded"])


def test_a_runner_that_is_killed_behind_haproxy_loses_no_transcription(behind: Behind) -> None:
    answers: list[str] = []
    stop = threading.Event()

    def call() -> None:
        while not stop.is_set():
            answers.append(behind.transcribe())

    with ThreadPoolExecutor(CALLERS) as pool:
        calling = [pool.submit(call) for _ in range(CALLERS)]
        try:
            until(lambda: all(map(has_model, behind.runners)), why=lambda: answers[-3:])
            enough = len(answers) + CALLERS
            until(lambda: len(answers) >= enough, why=lambda: answers[-3:])
            for process in behind.runners[1].processes():
                process.kill()
            enough = len(answers) + 3 * CALLERS
            until(lambda: len(answers) >= enough, why=lambda: answers[-3:])
        finally:
            stop.set()
        for one in calling:
            one.result(PATIENCE_S)
    assert set(answers) == {TEXT}


def test_the_configuration_is_valid() -> None:
    command = [str(HAPROXY), "-c", "-f", str(Path(ROOT) / "deploy/haproxy/runners.cfg")]
    assert subprocess.run(command, capture_output=True, timeout=PATIENCE_S, check=False).returncode == 0
