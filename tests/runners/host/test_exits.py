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


def watched(*running: int) -> tuple[SimpleNamespace, exits.Exits]:
    """A watcher, as far as the hooks use it, after it has started these processes."""
    watcher = SimpleNamespace(env={"PATH": os.environ["PATH"]}, processes=dict.fromkeys(running), hooks={})
    hooks = exits.Exits(watcher)
    for pid in running:
        assert watcher.hooks["after_spawn"](watcher=watcher, pid=pid)
    return watcher, hooks


def test_the_successor_of_a_process_reports_how_it_ended() -> None:
    watcher, _ = watched(123)
    assert reported(watcher.env) == "null"
    assert watcher.hooks["after_reap"](watcher=watcher, process_pid=123, exit_code=-signal.SIGILL, process_status="dead", time=0.0)
    assert reported(watcher.env) == '{"pid": 123, "code": -4}'
    watcher.hooks["after_reap"](watcher=watcher, process_pid=124, exit_code=1)
    assert reported(watcher.env) == '{"pid": 124, "code": 1}'


def test_a_process_that_was_dropped_without_being_reaped_is_noted_before_the_next_starts() -> None:
    pid = os.spawnv(os.P_NOWAIT, sys.executable, [sys.executable, "-c", "import os; os.kill(os.getpid(), 4)"])
    watcher, hooks = watched(pid)
    assert hooks.spawning(watcher=watcher)  # it is still listed: circus will reap it
    assert exits.VARIABLE not in watcher.env
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    watcher.processes.clear()
    assert watcher.hooks["before_spawn"](watcher=watcher)
    assert watcher.env[exits.VARIABLE] == f"{pid}:-4"
    with pytest.raises(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)


def test_a_process_that_someone_else_reaped_is_left_alone() -> None:
    pid = os.spawnv(os.P_NOWAIT, sys.executable, [sys.executable, "-c", ""])
    watcher, hooks = watched(pid)
    os.waitpid(pid, 0)
    watcher.processes.clear()
    assert hooks.spawning(watcher=watcher)
    assert exits.VARIABLE not in watcher.env


@pytest.mark.parametrize("value", ["", "1", "1:x", "x:1", "1:2:3"])
def test_another_value_is_no_exit(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(exits.VARIABLE, value)
    assert exits.previous_exit() is None


def test_the_state_of_a_process_has_its_own_id_and_the_exit_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(exits.VARIABLE, "12:-9")
    assert exits.process_state() == {"pid": os.getpid(), "previous_exit": {"pid": 12, "code": -9}}
