"""The same command on a terminal and in a pipe."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

from tests.waiting import PATIENCE_S

LIST = [sys.executable, "-m", "open_speech.cli", "models", "show", "tones/speak"]


def environment(tmp_path: Path) -> dict[str, str]:
    ours = {name: value for name, value in os.environ.items() if not name.startswith(("OS_", "STT_", "TTS_"))}
    return ours | {"OS_MODELS_DIR": str(tmp_path), "TERM": "xterm-256color", "COLUMNS": "100"}


def test_a_pipe_gets_plain_lines_with_tabs(tmp_path: Path) -> None:
    shown = subprocess.run(LIST, capture_output=True, check=True, env=environment(tmp_path), timeout=PATIENCE_S).stdout
    assert b"task\ttext-to-speech\n" in shown
    assert b"\x1b" not in shown


def test_a_terminal_gets_a_table(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    try:
        command = subprocess.run(LIST, stdout=theirs, check=True, env=environment(tmp_path), timeout=PATIENCE_S)
        shown = os.read(ours, 65536).decode()
    finally:
        os.close(ours)
        os.close(theirs)
    assert command.returncode == 0
    assert "\t" not in shown
    assert "task            " in shown
