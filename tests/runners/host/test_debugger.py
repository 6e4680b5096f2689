"""Remote debugging; a real debugger's messages attach to a real process where debugpy is installed."""

from __future__ import annotations

import importlib.util
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.served import free_port
from open_speech import config
from open_speech.config import Settings, SettingsError
from open_speech.config.cautions import cautions
from runners.host import debugger
from tests.debug_client import attached
from tests.waiting import PATIENCE_S

ROOT = Path(__file__).parent.parent.parent.parent
TONES = {"STT_BACKENDS": "tones-stt", "TTS_BACKENDS": "tones-tts"}
needs_debugpy = pytest.mark.skipif(importlib.util.find_spec("debugpy") is None, reason="needs debugpy: pip install 'open-speech[debug]'")


def settings(**environ: str) -> Settings:
    return config.load({**TONES, "DEBUGPY_ENABLE": "true", **environ})


def test_nothing_listens_unless_it_is_enabled(caplog: pytest.LogCaptureFixture) -> None:
    off = config.load(TONES)
    assert debugger.port_of("front", off) is None
    debugger.check(off)
    debugger.listen("front", off)
    assert caplog.records == []


def test_it_listens_on_the_loopback_address() -> None:
    assert settings().debugpy_host == "127.0.0.1"


def test_each_process_has_a_port_of_its_own() -> None:
    every = settings(OS_WYOMING_ENABLED="true", DEBUGPY_PORT="6000")
    assert debugger.processes(every) == ("front", "wyoming", "tones-stt", "tones-tts")
    assert [debugger.port_of(name, every) for name in debugger.processes(every)] == [6000, 6001, 6002, 6003]


def test_a_backend_in_the_servers_process_or_elsewhere_has_none() -> None:
    assert debugger.processes(settings(STT_BACKENDS="tones-stt@inproc", TTS_BACKENDS="tones-tts@http://box:3000")) == ("front",)


def test_only_the_chosen_processes_listen_from_the_first_port_on() -> None:
    chosen = settings(DEBUGPY_PROCESS="tones-tts,front")
    assert [debugger.port_of(name, chosen) for name in ("tones-tts", "front", "tones-stt")] == [5678, 5679, None]


def test_a_runner_that_is_served_by_itself_has_the_first_port() -> None:
    assert debugger.port_of("qwen", settings()) == 5678


@needs_debugpy
def test_a_process_that_does_not_exist_stops_the_start_and_is_named() -> None:
    with pytest.raises(SettingsError, match="DEBUGPY_PROCESS: this server has no process 'kokoro'; it has front, tones-stt, tones-tts"):
        debugger.check(settings(DEBUGPY_PROCESS="kokoro"))


@pytest.mark.skipif(importlib.util.find_spec("debugpy") is not None, reason="debugpy is installed")
def test_a_missing_package_stops_the_start_and_is_named(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(SettingsError, match=r"open-speech\[debug\]"):
        debugger.check(settings())
    debugger.listen("front", settings())
    assert "open-speech[debug]" in caplog.text


@pytest.mark.parametrize(("host", "warned"), [("127.0.0.1", False), ("::1", False), ("0.0.0.0", True), ("nas.lan", True)])
def test_a_debugger_that_other_machines_can_be_is_warned_of(host: str, warned: bool) -> None:
    assert any("DEBUGPY_HOST" in caution for caution in cautions(settings(DEBUGPY_HOST=host))) is warned
    assert cautions(config.load({**TONES, "DEBUGPY_HOST": host})) == []


WAITING = """
import logging, sys, time
from open_speech import config
from runners.host import debugger
logging.basicConfig(stream=sys.stdout, format="%(message)s")
debugger.listen("front", config.load())
print("attached", flush=True)
while True:
    time.sleep(0.01)
"""


@needs_debugpy
def test_a_debugger_attaches_to_a_process_that_waits_for_it() -> None:
    port = free_port()
    environ = {**TONES, "DEBUGPY_ENABLE": "true", "DEBUGPY_PORT": str(port), "DEBUGPY_WAIT_FOR_CLIENT": "true"}
    command = [sys.executable, "-c", WAITING]
    with subprocess.Popen(
        command, cwd=ROOT, env=environ | {"PYTHONPATH": ":".join(sys.path)}, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == f"front listens for a debugger on 127.0.0.1 port {port}\n"
            assert process.stdout.readline() == "front waits for a debugger\n"
            with attached(port) as client:
                assert process.stdout.readline() == "attached\n"
                assert client.evaluate("6 * 7") == "42"
        finally:
            process.kill()


@needs_debugpy
def test_a_taken_port_is_logged_and_the_process_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code = """
import logging, sys
from open_speech import config
from runners.host import debugger
logging.basicConfig(stream=sys.stdout, format="%(levelname)s %(message)s")
debugger.listen("front", config.load())
print("goes on")
"""
        environ = {**TONES, "DEBUGPY_ENABLE": "true", "DEBUGPY_PORT": str(port), "PYTHONPATH": ":".join(sys.path)}
        shown = subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, env=environ, capture_output=True, text=True, timeout=PATIENCE_S, check=True
        )
    first, last = shown.stdout.splitlines()
    assert first.startswith(f"ERROR front cannot listen for a debugger on 127.0.0.1 port {port}: ")
    assert last == "goes on"
