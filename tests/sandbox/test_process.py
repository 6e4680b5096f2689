from __future__ import annotations

import json
import os
import platform
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from open_speech.sandbox import InForce

ROOT = Path(__file__).parent.parent.parent
pytestmark = pytest.mark.skipif(platform.system() != "Linux", reason="the sandbox is Linux's")

REFUSED = {1, 13}  # EPERM, EACCES
FILES = {
    "read a file", "read the list of users", "list a folder", "make a file", "write to a file", "make a folder", "delete a file",
    "rename a file", "make a link", "run a program", "open its own descriptor again", "open the memory of a process",
}  # fmt: skip
PROCESSES = {"trace a process", "read the memory of a process", "write the memory of a process"}
LANDLOCK = {1: FILES | PROCESSES, 3: {"truncate a file"}, 4: {"connect by TCP", "listen on TCP"}} | {
    6: {"connect to an abstract socket", "signal a process", "signal its parent"}
}
"""ABI -> what a kernel refuses from then on, by Landlock alone."""
FORBIDDEN = {"unshare its user"} | (set() if os.getuid() == 0 else {"become another user"})
"""Attempts that may fail without a sandbox, too: some machines forbid the first to everybody, and only root can do the second."""


def run(code: str, *arguments: str) -> subprocess.Popen[str]:
    environ = {"PYTHONPATH": str(ROOT), "SECRET": "sesame"}
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.Popen(command, env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


TARGET = """
import ctypes, sys
ctypes.CDLL(None).prctl(0x59616d61, ctypes.c_ulong(2**64 - 1), 0, 0, 0)  # where Yama is: anybody of this user may trace it
print("ready", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def target() -> Iterator[int]:
    with run(TARGET) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process.pid
        process.kill()


@pytest.fixture
def attempt(target: int) -> Iterator[Any]:
    """Return what became of each attempt: attempt("landlock,seccomp")."""
    with tempfile.TemporaryDirectory() as folder, socket.socket() as tcp, socket.socket(socket.AF_UNIX) as named:
        tcp.bind(("127.0.0.1", 0))
        port = tcp.getsockname()[1]
        named.bind(f"{folder}/listener")
        with socket.socket(socket.AF_UNIX) as abstract:
            abstract.bind(f"\0open-speech-{port}")
            for listener in (tcp, named, abstract):
                listener.listen(64)

            def tried(layers: str) -> dict[str, str | int]:
                command = [sys.executable, "-m", "tests.sandbox.attempts", layers, folder, str(target), str(port)]
                shown = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
                assert shown.returncode == 0, shown.stderr
                return json.loads(shown.stdout)  # type: ignore[no-any-return]

            yield tried


def in_force() -> InForce:
    code = "from open_speech.sandbox import confine; import os; os.write(1, confine().encode())"
    with run(code) as process:
        assert process.stdout is not None
        return InForce(**json.loads(process.stdout.read()))


def test_without_a_sandbox_all_of_it_works(attempt: Any) -> None:
    assert {name: said for name, said in attempt("none").items() if said != "done" and name not in FORBIDDEN} == {}


@pytest.mark.parametrize("layers", ["seccomp", "landlock,seccomp"])
def test_the_filter_refuses_every_attempt(attempt: Any, layers: str) -> None:
    if not in_force().seccomp:
        pytest.skip("the kernel has no seccomp for this machine")
    assert {name: said for name, said in attempt(layers).items() if said not in REFUSED} == {}


def test_landlock_alone_refuses_files_processes_and_sockets(attempt: Any) -> None:
    abi = in_force().landlock
    if not abi:
        pytest.skip("the kernel has no Landlock")
    refused = {name for since, names in LANDLOCK.items() if since <= abi for name in names}
    found = attempt("landlock")
    assert {name: found[name] for name in refused if found[name] not in REFUSED} == {}


def test_root_loses_its_capabilities(attempt: Any) -> None:
    if os.getuid() != 0:
        pytest.skip("only root has some")
    assert in_force().no_capabilities
    assert attempt("landlock")["become another user"] in REFUSED  # which Landlock has nothing to say about


def test_what_is_in_force_is_said_and_what_is_not() -> None:
    everything = InForce(no_new_privs=True, no_capabilities=True, landlock=7, seccomp=True, not_dumpable=True)
    assert str(everything) == "no_new_privs, no capabilities, Landlock ABI 7, seccomp, not dumpable"
    assert everything.missing == ()
    old = InForce(no_new_privs=True, no_capabilities=True, landlock=0, seccomp=True, not_dumpable=True)
    assert str(old) == "no_new_privs, no capabilities, seccomp, not dumpable; not in force: Landlock"
    assert str(InForce()) == "nothing; not in force: no_new_privs, no capabilities, Landlock, seccomp, not dumpable"
    assert InForce(**json.loads(old.encode())) == old


AS_ONE_USER = """
import ctypes, os
from open_speech.sandbox import hide_memory
if os.getuid() == 0:  # who may look into every process
    os.setgroups([]), os.setgid(65534), os.setuid(65534)
    ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)  # a process that changes its user is hidden by the kernel
"""
SPY = f"""{AS_ONE_USER}
import json, sys
libc, target, found = ctypes.CDLL(None, use_errno=True), int(sys.argv[1]), []
for name in ("environ", "mem"):
    try:
        with open(f"/proc/{{target}}/{{name}}", "rb") as file:
            found.append(b"sesame" in file.read() if name == "environ" else True)
    except OSError:
        found.append(False)
if libc.ptrace(16, target, None, None) == 0:
    os.waitpid(target, 0x40000000)
    libc.ptrace(17, target, None, None)
    found.append(True)
else:
    found.append(False)
print(json.dumps(found))
"""


@pytest.mark.parametrize(("hides", "expected"), [("", [True, True, True]), ("hide_memory()", [False, False, False])])
def test_another_process_of_the_same_user_cannot_look_into_one_that_hides_its_memory(hides: str, expected: list[bool]) -> None:
    with run(f"{AS_ONE_USER}\n{hides}\n{TARGET}") as target:
        assert target.stdout is not None
        assert target.stdout.readline() == "ready\n"
        with run(SPY, str(target.pid)) as spy:
            found, _ = spy.communicate()
        target.kill()
    assert json.loads(found) == expected


def test_a_process_that_hides_its_memory_still_knows_its_own_files_and_its_size() -> None:
    code = (
        f"{AS_ONE_USER}\nimport faulthandler; hide_memory(); faulthandler.enable()\n"
        "os.write(os.pipe()[1], b'x'); opened = open('/proc/self/fd/3', 'rb')\n"
        "print(len(os.listdir('/proc/self/fd')) > 4, int(open('/proc/self/statm').read().split()[0]) > 0, opened.read(1))"
    )
    with run(code) as process:
        assert process.communicate()[0] == "True True b'x'\n"
