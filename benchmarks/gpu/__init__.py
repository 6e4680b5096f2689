"""`python -m benchmarks gpu`: every GPU path that has weights here, in under ten minutes. Each step has a process of its own.

It needs a CUDA device; `--device cpu` runs the same steps on the CPU, so that they cannot rot where there is none. Only weights that are
already downloaded are used, and no network. The results go into a JSON file and a table in Markdown beside it.
"""

from __future__ import annotations

import json
import platform
import subprocess
import sys
from pathlib import Path

from benchmarks.gpu.report import FAILED, OK, SKIPPED, Outcome, table
from benchmarks.gpu.steps import PART, STEPS
from runners.host.device import has_cuda

ROOT = Path(__file__).parent.parent.parent
RESULTS = Path("gpu-check.json")
STEP_LIMIT_S = 120.0
"""Seconds for one step, with the start of its process. A step that hangs is reported, and the next one runs."""


def run(device: str = "cuda", out: Path = RESULTS, *, quick: bool = False) -> int:
    """Run every step and write the results; return 1 if one has failed, or if there is no such device."""
    if device == "cuda" and not has_cuda():
        print(
            "There is no CUDA device here: the NVIDIA driver is missing or finds none. The CPU parts: python -m benchmarks.gpu --device cpu"
        )
        return 1
    outcomes = []
    for name in (name for name in STEPS if name != PART):
        outcome = outcome_of(name, device, quick=quick)
        outcomes.append(outcome)
        print(f"  {outcome.state:8} {name}: {outcome.detail}", flush=True)
    machine = {"python": platform.python_version(), "machine": platform.machine(), "device": device, "commit": _commit()}
    out.write_text(json.dumps({**machine, "steps": [outcome.as_json() for outcome in outcomes]}, indent=2) + "\n", encoding="utf-8")
    out.with_suffix(".md").write_text(table(machine, outcomes), encoding="utf-8")
    print(f"written to {out} and {out.with_suffix('.md')}")
    return int(any(outcome.state == FAILED for outcome in outcomes))


def outcome_of(name: str, device: str, *, quick: bool, limit_s: float = STEP_LIMIT_S) -> Outcome:
    """Run one step in a process of its own: a crash of a GPU library ends that process alone."""
    command = [sys.executable, "-m", "benchmarks.gpu", "--step", name, "--device", device, *(["--quick"] if quick else [])]
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=limit_s)
    except subprocess.TimeoutExpired:
        return Outcome(name, FAILED, f"did not end within {limit_s:.0f} s")
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
        return Outcome(name, FAILED, lines[-1][-300:])
    return Outcome.read(name, done.stdout)


def _commit() -> str:
    done = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip()


__all__ = ["FAILED", "OK", "SKIPPED", "run"]
