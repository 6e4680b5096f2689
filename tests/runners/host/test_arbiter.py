from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import circus.process
import pytest

from benchmarks.served import ROOT
from open_speech.config import SettingsError
from runners.host import arbiter
from tests.waiting import PATIENCE_S


def test_a_sealed_process_passes_no_descriptor_on() -> None:
    look = "import os, sys; print(os.path.exists('/dev/fd/' + sys.argv[1]))"
    program = (
        "import os, sys\n"
        "from runners.host.arbiter import seal\n"
        "assert os.get_inheritable(int(sys.argv[1]))\n"
        "seal()\n"
        f"os.execv(sys.executable, [sys.executable, '-c', {look!r}, sys.argv[1]])\n"
    )
    with socket.socket() as ours:
        command = [sys.executable, "-c", program, str(ours.fileno())]
        done = subprocess.run(command, cwd=ROOT, pass_fds=[ours.fileno()], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.split() == ["False"]


def test_a_child_of_the_arbiter_gets_the_socket_that_its_command_names() -> None:
    program = "import os, sys; print(*(os.path.exists('/dev/fd/' + number) for number in sys.argv[2:]))"
    with socket.socket() as own, socket.socket() as other:
        for each in (own, other):
            each.set_inheritable(True)
        command = [sys.executable, "-c", program, "--fd", str(own.fileno()), str(other.fileno())]
        with circus.process.Popen(command, stdout=subprocess.PIPE, text=True, close_fds=False) as child:
            assert child.stdout.read().split() == ["True", "False"]


CHILD = """
import os, signal, threading
from runners.host.exits import previous_exit
print(os.getpid(), previous_exit(), flush=True)
if previous_exit() is None:
    os.kill(os.getpid(), signal.SIGILL)
os.kill(os.getppid(), signal.SIGTERM)
threading.Event().wait()
"""
SUPERVISOR = """
import os, sys
import runners.host.bentoml_patches
from bentoml._internal.utils.circus import create_standalone_arbiter
from circus.watcher import Watcher
create_standalone_arbiter([Watcher("runner", sys.executable, args=["-c", sys.argv[1]], env=dict(os.environ))]).start()
"""


def test_the_successor_of_a_killed_process_is_told_the_signal() -> None:
    command = [sys.executable, "-c", SUPERVISOR, CHILD]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, timeout=PATIENCE_S, check=True)
    first, second = done.stdout.splitlines()
    pid = first.removesuffix(" None")
    assert second.split(" ", 1)[1] == f"{{'pid': {pid}, 'code': -4}}"


def test_a_socket_in_too_deep_a_folder_is_refused_by_name(tmp_path: Path) -> None:
    folder = str(tmp_path / ("x" * 100))
    service = type("Service", (), {"name": "kokoro"})
    with pytest.raises(SettingsError, match=r"TMPDIR is too long: the socket .*/kokoro\.sock"):
        arbiter.private_socket(service, folder, None, 1)


def test_a_runners_socket_is_for_its_own_user(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("s")
    uri, listener = arbiter.private_socket(type("Service", (), {"name": "kokoro"}), str(folder), None, 1)
    with listener:
        listener.bind_and_listen()
        assert uri == f"file://{folder}/kokoro.sock"
        assert (folder / "kokoro.sock").stat().st_mode & 0o777 == 0o700
