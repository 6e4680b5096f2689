from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

from runners.support.native_log import MOST_BYTES, captured_stderr


def test_what_native_code_writes_is_returned_and_not_written() -> None:
    code = """
import os, sys
from runners.support.native_log import captured_stderr
lines = []
with captured_stderr(lines):
    os.write(2, b"first\\nsecond")
os.write(2, b"after")
print(lines)
"""
    root = Path(__file__).parents[3]
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True, cwd=root)
    assert (done.stdout.strip(), done.stderr) == ("['first', 'second']", "after")


def test_lines_of_another_thread_have_time_to_arrive() -> None:
    lines: list[str] = []

    def late() -> None:
        time.sleep(0.05)
        os.write(2, b"late\n")

    with captured_stderr(lines, settle_s=1.0):
        threading.Thread(target=late).start()
    assert lines == ["late"]


def test_a_flood_is_cut_off() -> None:
    lines: list[str] = []
    with captured_stderr(lines):
        os.write(2, b"x" * (2 * MOST_BYTES))
    assert [len(line) for line in lines] == [MOST_BYTES]


def test_the_output_is_restored_after_an_error() -> None:
    lines: list[str] = []
    before = os.fstat(2)
    try:
        with captured_stderr(lines):
            os.write(2, b"reason\n")
            raise ValueError
    except ValueError:
        pass
    assert lines == ["reason"]
    assert os.path.samestat(os.fstat(2), before)


def test_without_an_output_nothing_is_captured() -> None:
    code = """
import os
from runners.support.native_log import captured_stderr
os.close(2)
lines = []
with captured_stderr(lines):
    pass
print(lines)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[3])
    assert done.stdout.strip() == "[]"
