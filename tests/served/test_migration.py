"""docs/migration.md: every command of its tables, run as it stands against the default server."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.served import Served
from tests.waiting import PATIENCE_S

ROOT = Path(__file__).parent.parent.parent
PAGE = (ROOT / "docs/migration.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| (?P<promise>.+?) \| `(?P<command>[^`]+)` \| ?(?P<answer>.*?) ?\|$", re.MULTILINE)
ROWS = [(found["promise"], found["command"], re.findall(r"`([^`]+)`", found["answer"])) for found in ROW.finditer(PAGE)]
TESTS = [command for _, command, _ in ROWS if command.startswith("tests/")]
COMMANDS = [row for row in ROWS if not row[1].startswith("tests/")]


def test_every_row_of_the_page_has_a_command_with_an_answer_or_a_test() -> None:
    lines = [line for line in PAGE.splitlines() if line.startswith("| ") and not line.startswith("| Promise ")]
    assert len(lines) == len(ROWS) > 70
    assert [promise for promise, _, answer in COMMANDS if not answer] == []


@pytest.mark.parametrize("path", TESTS)
def test_a_test_that_the_page_names_exists(path: str) -> None:
    assert (ROOT / path).exists()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, speech_clips: dict[str, Path]) -> Path:
    """A folder with the recording that the commands send."""
    folder = tmp_path_factory.mktemp("migration")
    shutil.copy(speech_clips["beckett"], folder / "speech.wav")
    return folder


@pytest.mark.served
@pytest.mark.weights
@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
@pytest.mark.parametrize(("promise", "command", "answer"), COMMANDS, ids=[promise for promise, _, _ in COMMANDS])
def test_a_command_of_the_page_answers_what_it_says(
    real_server: Served, folder: Path, promise: str, command: str, answer: list[str]
) -> None:
    shown = command.replace("http://localhost:8100", real_server.url)
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("OS_", "STT_", "TTS_"))}
    environment |= {"PATH": f"{Path(sys.executable).parent}:{environment['PATH']}", "PYTHONPATH": str(ROOT), "OS_OFFLINE": "true"}
    done = subprocess.run(
        ["bash", "-c", shown],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
        errors="replace",
    )
    output = done.stdout + done.stderr
    assert [piece for piece in answer if piece.lower() not in output.lower()] == [], output[:2000]
