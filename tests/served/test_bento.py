"""A Bento that is built once and serves whatever the settings say, from its tag and from its folder."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
import yaml
from wyoming.client import AsyncClient
from wyoming.info import Describe, Info

from benchmarks.served import ROOT, Served, free_port, serve
from runners import catalog
from tests.waiting import PATIENCE_S, until

pytestmark = pytest.mark.served

VERSION = "0.0.0+bento"
"""The version that the copy of the sources in the Bento is given, so that a response shows which copy is served."""
TAG = "open-speech:latest"


@dataclass(frozen=True)
class Bento:
    """A built Bento: the folder of BentoML's store, its own folder, and its list of services."""

    home: Path
    folder: Path
    listed: Mapping[str, Mapping[str, Any]]


@pytest.fixture(scope="module")
def bento(tmp_path_factory: pytest.TempPathFactory) -> Bento:
    home = tmp_path_factory.mktemp("bentoml")
    done = bentoml(home, "build")
    assert done.returncode == 0, done.stdout
    (folder,) = (home / "bentos/open-speech").glob("*/")
    source = folder / "src/open_speech/__init__.py"
    source.write_text(source.read_text(encoding="utf-8") + f'\n__version__ = "{VERSION}"\n', encoding="utf-8")
    listed = yaml.safe_load((folder / "bento.yaml").read_text(encoding="utf-8"))["services"]
    return Bento(home, folder, {service["name"]: service["config"] for service in listed})


def bentoml(home: Path, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"BENTOML_HOME": str(home), "BENTOML_DO_NOT_TRACK": "True"} | settings
    return subprocess.run(
        [sys.executable, "-m", "bentoml", *arguments], cwd=ROOT, env=environment, text=True, timeout=PATIENCE_S, check=False,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


def services(served: Served) -> set[str]:
    """Return the names of the services that have a process."""
    found = set()
    for process in served.processes():
        with suppress(psutil.NoSuchProcess):  # it ended meanwhile
            command = process.cmdline()
            if "--service-name" in command:
                found.add(command[command.index("--service-name") + 1])
    return found


def said_and_transcribed(served: Served, text: str) -> str:
    with httpx.Client(base_url=served.base_url, timeout=PATIENCE_S) as client:
        body = {"model": "tts-1", "voice": "alloy", "input": text, "response_format": "wav"}
        speech = client.post("/audio/speech", json=body).raise_for_status().content
        answer = client.post("/audio/transcriptions", data={"model": "whisper-1"}, files={"file": ("speech.wav", speech)})
        return str(answer.raise_for_status().json()["text"])


def is_served(bento: Bento, served: Served) -> bool:
    """Whether the sources of this server are those in the Bento."""
    return bool(httpx.get(f"{served.url}/health", timeout=PATIENCE_S).json()["version"] == VERSION)


def test_it_lists_every_service_with_its_resources(bento: Bento) -> None:
    assert set(bento.listed) == {entry.service for entry in catalog.BACKENDS} | {"wyoming_door", "open_speech"}
    for name, own in bento.listed.items():
        assert set(own["resources"]) == {"cpu", "memory"}, name  # bentofile.yaml: its packages use no GPU


def test_from_its_tag_with_wyoming(bento: Bento, tones: dict[str, str]) -> None:
    port = free_port()
    settings = {"BENTOML_HOME": str(bento.home), "OS_WYOMING_ENABLED": "true", "OS_WYOMING_PORT": str(port)}
    with serve(tones | settings, target=TAG) as served:
        assert is_served(bento, served)
        assert services(served) == {"open_speech", "wyoming_door", "tones_stt", "tones_tts"}
        assert said_and_transcribed(served, "From the tag.") == "From the tag."
        info = until(lambda: described(port))
        assert {program.version for program in info.asr} == {VERSION}


def described(port: int) -> Info | None:
    async def answer() -> Info:
        async with asyncio.timeout(PATIENCE_S), AsyncClient.from_uri(f"tcp://127.0.0.1:{port}") as client:
            await client.write_event(Describe().event())
            event = await client.read_event()
            assert event is not None
            return Info.from_event(event)

    with suppress(OSError):
        return asyncio.run(answer())
    return None


def test_from_its_folder_with_another_backend_one_in_process_and_one_at_a_url(bento: Bento, tones: dict[str, str]) -> None:
    with serve(target="runners.tones:Speaker") as runner:
        placed = {"STT_BACKENDS": "tones-stt@inproc,moonshine", "TTS_BACKENDS": f"tones-tts@{runner.url}"}
        with serve(tones | placed, target=str(bento.folder)) as served:
            assert is_served(bento, served)
            assert services(served) == {"open_speech", "moonshine"}
            assert said_and_transcribed(served, "From the folder.") == "From the folder."
            backends = httpx.get(f"{served.url}/health", timeout=PATIENCE_S).json()["backends"]
            assert {name: one["where"] for name, one in backends.items()} == {
                "tones-stt": "inproc", "moonshine": "process", "tones-tts": runner.url,
            }  # fmt: skip


def test_an_unknown_backend_is_named_in_one_line(bento: Bento) -> None:
    done = bentoml(bento.home, "serve", TAG, "--port", str(free_port()), STT_BACKENDS="wishper")
    assert done.returncode == 1
    (line,) = done.stdout.strip().splitlines()
    assert "STT_BACKENDS: unknown backend 'wishper'; known are faster-whisper, " in line
