"""`make test` runs a few tests that failed once more, and says which passed only then."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.waiting import PATIENCE_S

TWICE = Path(__file__).parents[1] / ".ci/pytest-twice"
ONCE = """from pathlib import Path
def test_once():
    seen = Path('seen')
    if not seen.exists():
        seen.touch()
        raise ValueError
"""
NEVER = "def test_never():\n    raise ValueError\n"
ALWAYS = "def test_always():\n    pass\n"


def run(folder: Path, **files: str) -> subprocess.CompletedProcess[str]:
    for name, source in files.items():
        (folder / f"test_{name}.py").write_text(source, encoding="utf-8")
    pytest_command = [sys.executable, "-m", "pytest", "-q", "-p", "no:asyncio"]
    return subprocess.run([TWICE, *pytest_command], cwd=folder, capture_output=True, text=True, check=False, timeout=PATIENCE_S)


def test_tests_that_all_pass_run_once(tmp_path: Path) -> None:
    done = run(tmp_path, always=ALWAYS)
    assert (done.returncode, "1 passed" in done.stdout, "again" in done.stdout) == (0, True, False)


def test_a_test_that_passes_when_it_runs_again_is_named(tmp_path: Path) -> None:
    done = run(tmp_path, always=ALWAYS, once=ONCE)
    assert done.returncode == 0, done.stdout
    assert done.stdout.splitlines()[-2:] == ["PASSED ONLY WHEN RUN AGAIN, and to be mended:", "test_once.py::test_once"]


def test_a_test_that_fails_twice_fails_the_run(tmp_path: Path) -> None:
    done = run(tmp_path, once=ONCE, never=NEVER)
    assert (done.returncode, "PASSED ONLY" in done.stdout) == (1, False), done.stdout


def test_failures_in_many_files_are_not_run_again(tmp_path: Path) -> None:
    done = run(tmp_path, **{f"once_{number}": ONCE.replace("'seen'", f"'seen{number}'") for number in range(5)})
    assert (done.returncode, "Tests of 5 files failed" in done.stdout, "Run again" in done.stdout) == (1, True, False), done.stdout


@pytest.mark.parametrize("source", ["def test_(:\n", "import a_module_that_nobody_has\n"])
def test_a_file_that_cannot_be_collected_fails_the_run(tmp_path: Path, source: str) -> None:
    assert run(tmp_path, always=ALWAYS, broken=source).returncode == 2
