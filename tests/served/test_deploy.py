"""What deploy/k8s describes, as processes here: each runner by the command of its manifest, and the front that asks them by URL."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import openai
import pytest
from wyoming.client import AsyncTcpClient
from wyoming.info import Describe, Info

from benchmarks.served import ROOT, Served, free_port, serve
from open_speech.testing.words import ALLOWED_ERRORS, word_errors
from tests.manifests import container, environment, front, runners
from tests.waiting import PATIENCE_S, until

pytestmark = [pytest.mark.served, pytest.mark.weights]

TEXT = "The quick brown fox jumps over the lazy dog."
KEY = "sesame"
START_S = 120


@pytest.fixture(scope="module")
def ports() -> dict[str, int]:
    """A loopback port for each runner, and for the front's Wyoming."""
    return {name: free_port() for name in [*runners(), "wyoming"]}


@pytest.fixture(scope="module")
def engines(default_weights: None, ports: dict[str, int], tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The runners' processes, ready."""
    started = []
    try:
        for name, deployment in runners().items():
            folder = tmp_path_factory.mktemp(name)
            command = [str(word) for word in container(deployment)["command"]]
            command[command.index("--host") + 1] = "127.0.0.1"
            command[command.index("--port") + 1] = str(ports[name])
            environ = clean() | environment(deployment) | {"BENTOML_HOME": str(folder)}
            with (folder / "log").open("wb") as log:
                process = subprocess.Popen([sys.executable, "-m", *command], cwd=ROOT, env=environ, stdout=log, stderr=subprocess.STDOUT)
            started.append((process, folder / "log", ports[name]))
        for process, log_file, port in started:
            wait_ready(process, log_file, port)
        yield
    finally:
        for process, _, _ in started:
            process.terminate()
        for process, _, _ in started:
            process.wait(PATIENCE_S)


@pytest.fixture(scope="module")
def served(engines: None, ports: dict[str, int], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The front with the settings of its manifest; the names of services are addresses of this machine."""
    settings = environment(front()) | {"OS_API_KEY": KEY, "OS_WYOMING_PORT": str(ports["wyoming"])}
    settings["OS_WYOMING_ENABLED"] = "true"  # on the loopback address of this machine
    for name in runners():
        settings = {setting: value.replace(f"{name}:3000", f"127.0.0.1:{ports[name]}") for setting, value in settings.items()}
    # Nothing of the models is where the front is.
    with serve(settings | {"HOME": str(tmp_path_factory.mktemp("data")), "OS_OFFLINE": "true"}) as running:
        yield running


def clean() -> dict[str, str]:
    """This process's environment without anybody's settings."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("OS_", "STT_", "TTS_", "BENTOML_"))}
    return kept | {"OS_OFFLINE": "true", "BENTOML_DO_NOT_TRACK": "True"}


def wait_ready(process: subprocess.Popen[bytes], log: Path, port: int) -> None:
    """Wait until the probe of the manifest says so."""

    def is_ready() -> bool:
        assert process.poll() is None, log.read_text(errors="replace")[-3000:]
        with suppress(httpx.TransportError):
            return httpx.get(f"http://127.0.0.1:{port}/readyz", timeout=PATIENCE_S).status_code == 200
        return False

    until(is_ready, why=lambda: log.read_text(errors="replace")[-3000:])


@pytest.mark.parametrize("model", ["kokoro", "piper/en_US-joe-medium"])
def test_what_one_deployment_speaks_another_writes_down(served: Served, model: str) -> None:
    client = openai.OpenAI(base_url=served.base_url, api_key=KEY, timeout=PATIENCE_S, max_retries=0)
    speech = client.audio.speech.create(model=model, voice="alloy", input=TEXT, response_format="mp3").read()
    heard = client.audio.transcriptions.create(model="whisper-1", file=("speech.mp3", speech), language="en").text
    assert word_errors(TEXT, heard) <= ALLOWED_ERRORS  # Piper's breath is drawn by lot, and with it whether a comma or a capital is heard


def test_the_front_holds_no_runner_and_says_where_they_are(served: Served, ports: dict[str, int]) -> None:
    backends = httpx.get(f"{served.url}/health", headers={"Authorization": f"Bearer {KEY}"}, timeout=PATIENCE_S).json()["backends"]
    where = {f"open-speech-{name}": state["where"] for name, state in backends.items()}
    assert where == {name: f"dns+http://127.0.0.1:{ports[name]}" for name in runners()}
    found = {f"open-speech-{name}": [replica["where"] for replica in state["replicas"]] for name, state in backends.items()}
    assert found == {name: [f"http://127.0.0.1:{ports[name]}"] for name in runners()}
    assert {name for name in served.memory_mb() if name in ("faster_whisper", "kokoro", "piper")} == set()


def test_wyoming_beside_the_front_offers_what_the_runners_have(served: Served, ports: dict[str, int]) -> None:
    info = asyncio.run(asyncio.wait_for(described(ports["wyoming"]), 60))
    assert any(model.installed for program in info.asr for model in program.models)
    assert any(voice.installed for program in info.tts for voice in program.voices)


async def described(port: int) -> Info:
    async with AsyncTcpClient("127.0.0.1", port) as client:
        await client.write_event(Describe().event())
        event = await client.read_event()
    assert event is not None
    return Info.from_event(event)
