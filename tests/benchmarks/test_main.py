"""The command of the benchmarks starts: nothing else imports all of them, and no type checker reads them."""

from __future__ import annotations

import subprocess
import sys

from tests.waiting import PATIENCE_S


def test_the_command_lists_every_benchmark() -> None:
    shown = subprocess.run([sys.executable, "-m", "benchmarks", "--help"], capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert shown.returncode == 0, shown.stderr
    listed = " ".join(shown.stdout.split())
    assert "dialogue" in listed
    assert "speakers" in listed
    assert "capacity" in listed


def test_the_capacity_benchmark_has_options_of_its_own() -> None:
    command = [sys.executable, "-m", "benchmarks", "capacity", "--help"]
    shown = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert shown.returncode == 0, shown.stderr
    assert "--sessions" in shown.stdout
