from __future__ import annotations

import os
import signal
import subprocess
import sys
from types import SimpleNamespace

import pytest

from benchmarks.served import ROOT
from runners.host import exits
from tests.waiting import PATIENCE_S

PROGRAM = "import json; from runners.host.exits import previous_exit; print(json.dumps(previous_exit()))"


def reported(environ: dict[str, str]) -> str:
    command = [sys.executable, "-c", PROGRAM]
    return subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, check=True, timeout=PATIENCE_S).stdout.strip()


def test_the_successor_of_a_process_reports_how_it_ended() -> None:
    given = {"PATH": os.environ["PATH"]}
    watcher = SimpleNamespace(env=given)
    assert exits.note(watcher, process_pid=123, exit_code=-signal.SIGILL, process_status="dead", time=0.0) is True
    assert reported(watcher.env) == '{"pid": 123, "code": -4}'
    exits.note(watcher, process_pid=124, exit_code=1)
    assert reported(watcher.env) == '{"pid": 124, "code": 1}'
    assert reported(given) == "null"


@pytest.mark.parametrize("value", ["", "1", "1:x", "x:1", "1:2:3"])
def test_another_value_is_no_exit(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(exits.VARIABLE, value)
    assert exits.previous_exit() is None


def test_the_state_of_a_process_has_its_own_id_and_the_exit_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(exits.VARIABLE, "12:-9")
    assert exits.process_state() == {"pid": os.getpid(), "previous_exit": {"pid": 12, "code": -9}}
