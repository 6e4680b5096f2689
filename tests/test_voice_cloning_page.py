"""docs/uses/voice-cloning.md: its commands and its program run against the server, on a backend that repeats the recording it is given."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import uvicorn

from open_speech.app import create_app
from open_speech.audio import Audio
from open_speech.backends import BackendEntry, ModelEntry, Setup, SpeechOptions, Task, Voice
from open_speech.codecs import decode, wav_bytes
from open_speech.config import Settings
from open_speech.dispatch.client import RunnerClient
from open_speech.registry import Defaults, Registry
from open_speech.voices import Library, VoiceResolver
from open_speech.weights import Store
from runners import catalog
from runners.host.host import Host, HostOptions
from tests.engines import engine_over
from tests.waiting import PATIENCE_S

PAGE = (Path(__file__).parent.parent / "docs/uses/voice-cloning.md").read_text(encoding="utf-8")
COMMANDS = [block for block in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL) if "curl" in block]
(PROGRAM,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
MODEL = "qwen3-tts-1.7b"
RATE = 24_000
ME_S, CONSENT_S, OTHERWISE_S = 2.5, 1.5, 1.0
"""Lengths by which the test recognizes what was spoken."""


def noise(seconds: float) -> Audio:
    return Audio(np.random.default_rng(1).uniform(-0.3, 0.3, round(seconds * RATE)).astype(np.float32), RATE)


class Repeater:
    """Speaks the recording it is to clone; another sound without one."""

    def __init__(self, setup: Setup) -> None: ...

    def load(self) -> None: ...

    def synthesize(self, text: str, options: SpeechOptions) -> Iterator[Audio]:
        return iter([options.reference.audio if options.reference else noise(OTHERWISE_S)])


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    backend = BackendEntry("qwen", Task.TTS, "nowhere:Repeater", (), "", "MIT")
    model = ModelEntry(MODEL, "qwen", Task.TTS, "MIT", ("en",), voices=(Voice("own", "en"),), default_voice="own", clones=True)
    registry = Registry([backend], [model], {"qwen": "inproc"}, Defaults("", MODEL, "own"))
    host = Host(Repeater, registry, Store(tmp_path, offline=True), HostOptions(), threads=1)
    voices = VoiceResolver(registry, library=Library(tmp_path / "library", limit=9))
    engine = engine_over(registry, {"qwen": RunnerClient("qwen", host, deadline_s=10)}, voices=voices)
    listener = socket.create_server(("127.0.0.1", 0))
    app = create_app(Settings(os_models_dir=tmp_path), engine)
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False, lifespan="on", timeout_graceful_shutdown=2))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive(), "the server did not start"
        time.sleep(0.01)
    yield f"127.0.0.1:{listener.getsockname()[1]}"
    server.should_exit = True
    thread.join(PATIENCE_S)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the recordings that the page names."""
    folder = tmp_path / "recordings"
    folder.mkdir()
    (folder / "anna.wav").write_bytes(wav_bytes(noise(ME_S)))
    (folder / "consent.wav").write_bytes(wav_bytes(noise(CONSENT_S)))
    return folder


def run(command: list[str], folder: Path) -> None:
    ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def seconds(file: Path) -> float:
    return decode(file.read_bytes(), RATE, max_seconds=60).seconds


@pytest.mark.skipif(not (shutil.which("curl") and shutil.which("jq")), reason="needs curl and jq")
def test_every_command_of_the_page_works(address: str, folder: Path) -> None:
    spoken = 0
    for block in COMMANDS:
        run(["bash", "-e", "-c", block.replace("127.0.0.1:8100", address)], folder)
        for output in re.findall(r"-o (\S+)", block):
            assert seconds(folder / output) == pytest.approx(ME_S, abs=0.15), block
            (folder / output).unlink()
            spoken += 1
    assert spoken == 4


def test_the_program_with_the_sdk_works(address: str, folder: Path) -> None:
    run([sys.executable, "-W", "error", "-c", PROGRAM.replace("127.0.0.1:8100", address)], folder)
    for output in ("stored.mp3", "once.mp3"):
        assert seconds(folder / output) == pytest.approx(ME_S, abs=0.15)


def test_the_models_of_the_page_are_those_that_clone() -> None:
    table = PAGE.partition("## Models that clone")[2].partition("```")[0]
    listed = [model for row in re.findall(r"^\| (`.+?) \|", table, re.MULTILINE) for model in re.findall(r"`([\w.-]+)`", row)]
    cloning = {model.id: model for model in catalog.own_models() if model.clones}
    assert sorted(listed) == sorted(cloning)
    for row in re.findall(r"^\| `.+$", table, re.MULTILINE):
        for model_id in re.findall(r"`([\w.-]+)`", row.split("|")[1]):
            assert f"| {len(cloning[model_id].languages)} |" in row
            assert f"`{cloning[model_id].backend}`" in row
            assert cloning[model_id].licence.split("-")[0] in row
