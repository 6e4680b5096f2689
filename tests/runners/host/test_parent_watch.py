from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import httpx
import psutil
import pytest

from benchmarks.served import Served, serve
from tests.waiting import PATIENCE_S

CHILD = """
import signal, sys, time
from runners.host.parent_watch import end_with_parent
end_with_parent()
print("watching", flush=True)
signal.signal(signal.SIGTERM, lambda *_: (print("told", flush=True), sys.exit()))
time.sleep(30)
"""
PARENT = f"""
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", {CHILD!r}])
print(child.pid, flush=True)
time.sleep(30)
"""


def test_a_process_is_told_to_stop_when_its_parent_is_killed() -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        lines = {parent.stdout.readline().strip(), parent.stdout.readline().strip()}  # both write to the same pipe
        assert "watching" in lines
        time.sleep(1.5)
        assert psutil.pid_exists(int((lines - {"watching"}).pop()))
        parent.kill()
        assert parent.stdout.readline() == "told\n"
        assert parent.stdout.read() == ""


@pytest.fixture
def served(tmp_path_factory: pytest.TempPathFactory) -> Served:
    tones = {"STT_BACKENDS": "tones-stt", "TTS_BACKENDS": "tones-tts", "STT_MODEL": "tones/listen", "TTS_MODEL": "tones/speak"}
    settings = {**tones, "TTS_VOICE": "tone", "OS_OFFLINE": "true"}
    with serve(settings) as served:
        children = served.processes()[1:]
        os.kill(served.process.pid, signal.SIGKILL)
        served.process.wait(PATIENCE_S)
        _, alive = psutil.wait_procs(children, timeout=PATIENCE_S)
        for process in alive:
            process.kill()
        assert alive == []
    return served


@pytest.mark.served
def test_a_server_whose_supervisor_is_killed_gives_its_port_back(served: Served) -> None:
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{served.url}/livez", timeout=PATIENCE_S)
