"""The GPU check: its parsing, its table, and every step on the CPU, because no machine that runs these tests needs a GPU."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import benchmarks.gpu as check
from benchmarks.gpu.report import FAILED, OK, SKIPPED, Outcome, outcome_of_tests, table, used_mib
from benchmarks.gpu.steps import BATCHES, PART, STEPS
from runners.host.device import has_cuda
from tests.waiting import PATIENCE_S

ROOT = Path(__file__).parent.parent.parent


def test_an_outcome_survives_the_lines_that_libraries_print() -> None:
    outcome = Outcome("whisper", OK, "fast", {"batches": {"1": 2.5}})
    assert Outcome.read("whisper", f"a warning\n{outcome.written()}\ngoodbye\n") == outcome
    assert Outcome.read("whisper", "Segmentation fault\n").state == FAILED


def test_the_table_has_a_row_for_each_step() -> None:
    shown = table({"device": "cuda", "commit": ""}, [Outcome("a", OK, "1 | 2"), Outcome("b", FAILED, "no")])
    assert shown == "# GPU check\n\ndevice cuda\n\n| Step | State | Result |\n|---|---|---|\n| a | ok | 1 / 2 |\n| b | FAILED | no |\n"


def test_the_memory_of_all_gpus_is_added_up() -> None:
    assert used_mib("1024\n512\n") == 1536
    assert used_mib("[N/A]\n") == 0


@pytest.mark.parametrize(
    ("output", "state"),
    [
        ("...\n3 passed, 2 skipped, 5 deselected in 4.20s\n", OK), ("2 failed, 1 passed in 1.00s\n", FAILED),
        ("1 error in 0.50s\n", FAILED), ("7 skipped, 3 deselected in 0.10s\n", SKIPPED), ("", SKIPPED),
        ("======= 4 passed in 61.02s (0:01:01) =======\n", OK),
    ],
)  # fmt: skip
def test_a_run_of_tests_has_an_outcome(output: str, state: str) -> None:
    assert outcome_of_tests("checkpoints", output).state == state


def test_a_gpu_gets_every_batch_up_to_thirty_two() -> None:
    assert BATCHES["cuda"] == (1, 2, 4, 8, 16, 32)
    assert set(STEPS) == {"devices", "device-choice", "whisper", "compute-types", "memory", "two-processes", "checkpoints", PART}


def test_a_step_that_crashes_or_hangs_is_a_failure_and_no_end_of_the_check() -> None:
    assert check.outcome_of("no-such-step", "cpu", quick=True).state == FAILED
    assert "did not end" in check.outcome_of("devices", "cpu", quick=True, limit_s=0.001).detail


def test_without_a_gpu_the_check_says_so(tmp_path: Path) -> None:
    if has_cuda():
        pytest.skip("there is a GPU here")
    assert check.run("cuda", tmp_path / "results.json") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.weights
@pytest.mark.usefixtures("default_weights", "speech_clips")
def test_every_step_runs_on_the_cpu(tmp_path: Path) -> None:
    out = tmp_path / "results.json"
    command = [sys.executable, "-m", "benchmarks.gpu", "--device", "cpu", "--quick", "--out", str(out)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=10 * PATIENCE_S, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    steps = {step["name"]: step for step in json.loads(out.read_text(encoding="utf-8"))["steps"]}
    assert set(steps) == set(STEPS) - {PART}
    assert {name for name, step in steps.items() if step["state"] != OK} <= {"checkpoints"}  # torch is not a dependency of the tests
    assert steps["whisper"]["measured"]
    assert out.with_suffix(".md").is_file()
