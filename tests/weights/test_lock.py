"""One download for many askers, in threads and in processes, whoever dies."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from open_speech.model_files import UrlSource
from open_speech.weights import Progress
from open_speech.weights.lock import pull_lock

HOLD = """
import sys, time
from pathlib import Path
from open_speech.weights.lock import pull_lock
from open_speech.weights.progress import Progress
with pull_lock(Path(sys.argv[1]), print) as lock:
    lock.report(Progress("m", "f", 7, 9, "hub", "downloading"))
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path: Path):
    """Another process that holds the lock."""
    with subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path / "lock")], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_many_threads_download_once(store, shelf, make_model) -> None:
    shelf.files["/a"] = b"x" * 100_000
    model = make_model({"a": b"x" * 100_000}, UrlSource({"a": f"{shelf.url}/a"}))
    shelf.gate.clear()
    threading.Timer(0.5, shelf.gate.set).start()
    seen: list[Progress] = []
    with ThreadPoolExecutor(8) as pool:
        folders = list(pool.map(lambda _: store.pull(model, seen.append), range(8)))
    assert len(set(folders)) == 1
    assert shelf.gets("/a") == ["GET /a"]
    assert any(progress.state == "waiting" and progress.file == "a" for progress in seen)
    assert sum(progress.state == "done" for progress in seen) == 8


def test_another_process_is_waited_for_and_its_progress_passed_on(holder, tmp_path: Path) -> None:
    seen: list[Progress] = []
    threading.Timer(0.5, holder.terminate).start()
    with pull_lock(tmp_path / "lock", seen.append):
        assert seen and set(seen) == {Progress("m", "f", 7, 9, "hub", "waiting")}


def test_a_killed_owner_is_not_waited_for(holder, tmp_path: Path) -> None:
    os.kill(holder.pid, signal.SIGKILL)
    holder.wait()
    waited: list[Progress] = []
    with pull_lock(tmp_path / "lock", waited.append):
        assert waited == []


def test_the_lock_leaves_no_file_and_excludes_everybody(tmp_path: Path) -> None:
    inside: list[int] = []

    def visit(number: int) -> None:
        with pull_lock(tmp_path / "lock", lambda progress: None):
            inside.append(number)
            assert len(inside) == 1
            time.sleep(0.01)
            inside.pop()

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(visit, range(6)))
    assert not (tmp_path / "lock").exists()
