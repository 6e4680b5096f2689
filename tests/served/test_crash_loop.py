"""A runner whose process is killed by a signal on one call, as by a library that is built for another CPU: a server with a real process."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from benchmarks.served import Served, serve
from tests.plugin_packages import ROOT, install_speaker
from tests.waiting import PATIENCE_S

pytestmark = pytest.mark.served

FATAL_RUNNER = """
import os
import signal
from collections.abc import Iterator
from runners.tones import TonesSynthesizer
from runners.wiring.bento_service import Resources, tts_service

class Speaker(TonesSynthesizer):
    def synthesize(self, text, options) -> Iterator:
        if "illegal" in text:
            os.kill(os.getpid(), signal.SIGILL)
        return super().synthesize(text, options)

Runner = tts_service("{name}", Speaker, Resources())
"""


def install_fatal(tmp_path_factory: pytest.TempPathFactory, tones: dict[str, str]) -> dict[str, str]:
    """Install the runner as a package, and return the settings of a server that speaks with it."""
    folder = tmp_path_factory.mktemp("packages")
    install_speaker(folder, "acme-fatal", name="fatal", model="acme/fatal", runner=FATAL_RUNNER)
    path = os.pathsep.join([str(ROOT), str(folder)])
    return tones | {"TTS_BACKENDS": "fatal", "TTS_MODEL": "acme/fatal", "TTS_VOICE": "beep", "PYTHONPATH": path}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, tones: dict[str, str]) -> Iterator[Served]:
    with serve(install_fatal(tmp_path_factory, tones)) as running:
        yield running


def speak(served: Served, text: str) -> httpx.Response:
    body = {"model": "acme/fatal", "voice": "beep", "input": text, "response_format": "pcm"}
    # Three deaths are three restarts.
    return httpx.post(served.base_url + "/audio/speech", json=body, timeout=3 * PATIENCE_S)


def runner_status(served: Served) -> dict[str, Any]:
    status: dict[str, Any] = httpx.get(served.url + "/health", timeout=PATIENCE_S).json()["backends"]["fatal"]["runner"]
    return status


def test_a_call_that_kills_its_runner_is_given_up_by_the_name_of_the_signal(served: Served) -> None:
    first = runner_status(served)["pid"]
    refused = speak(served, "An illegal instruction.")
    assert refused.status_code == 500
    error = refused.json()["error"]
    assert error["code"] == "backend_crashed"
    assert "The runner `fatal` was killed by SIGILL (illegal instruction) three times on this call" in error["message"]

    # The same call no longer reaches the runner, whose process stays; another call is served by it.
    after = runner_status(served)
    assert after["pid"] != first
    assert after["previous_exit"]["code"] == -4
    assert speak(served, "An illegal instruction.").json()["error"] == error
    assert speak(served, "Hello.").status_code == 200
    assert runner_status(served)["pid"] == after["pid"]

    # Once the model is loaded again, the call may be tried again.
    loaded = httpx.post(served.url + "/api/models/acme/fatal/load", timeout=PATIENCE_S)
    assert loaded.status_code in (200, 202), loaded.text
    again = speak(served, "An illegal instruction.")
    assert again.json()["error"]["code"] == "backend_crashed", again.text + served.log.read_text()[-2000:]
    assert runner_status(served)["pid"] != after["pid"]
