"""What a decoder that was taken over would try, each in a process of its own: `python -m tests.sandbox.attempts LAYERS FOLDER TARGET PORT`.

LAYERS are `landlock`, `seccomp`, both with a comma, or `none`, where all of this is meant to work. FOLDER has `file`, a Unix socket
`listener` and nothing else; TARGET is the id of a process of the same user; on PORT something listens. Writes JSON: name of the attempt ->
"done", or the number of the error, or "killed".
"""

from __future__ import annotations

import array
import ctypes
import errno
import fcntl
import json
import mmap
import os
import platform
import resource
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path

from open_speech.sandbox import confine, preload

LIBC = ctypes.CDLL(None, use_errno=True)
LIBC.mmap.restype = ctypes.c_void_p
ATTACH, DETACH = 16, 17
"""Of ptrace(2)."""
NUMBERS = {"x86_64": {"vm_readv": 310, "vm_writev": 311}, "aarch64": {"vm_readv": 270, "vm_writev": 271}}[platform.machine()]
PIDFD_OPEN, FIONREAD = 434, 0x541B
SPARE = ctypes.create_string_buffer(64)
KEPT = socket.socketpair()
PAGE = mmap.mmap(-1, mmap.PAGESIZE)


class Vector(ctypes.Structure):
    """`struct iovec`."""

    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


def check(result: int) -> int:
    if result < 0:
        raise OSError(ctypes.get_errno(), "refused")
    return result


def attempts(folder: Path, target: int, port: int) -> dict[str, Callable[[], object]]:  # noqa: C901, PLR0915 - a list
    here, there = KEPT
    limit = resource.getrlimit(resource.RLIMIT_CORE)

    def connect(family: int, kind: int, to: object) -> None:
        with socket.socket(family, kind) as line:
            line.connect(to)  # type: ignore[arg-type]

    def listen() -> None:
        with socket.socket() as line:
            line.bind(("127.0.0.1", 0))
            line.listen()

    def copy_memory(number: int) -> None:
        # From and to the same address: this is a fork of a process that does not differ there, or no address of the target at all.
        vector = Vector(ctypes.addressof(SPARE), 8)
        one, none = ctypes.c_ulong(1), ctypes.c_ulong(0)
        result = LIBC.syscall(number, target, ctypes.byref(vector), one, ctypes.byref(vector), one, none)
        if result < 0 and ctypes.get_errno() != errno.EFAULT:
            check(result)

    def trace() -> None:
        check(LIBC.ptrace(ATTACH, target, None, None))
        os.waitpid(target, 0x40000000)
        check(LIBC.ptrace(DETACH, target, None, None))

    def fork() -> None:
        if os.fork() == 0:
            os._exit(0)
        os.wait()

    def map_executable() -> None:
        if LIBC.mmap(None, mmap.PAGESIZE, 7, 0x22, -1, 0) == ctypes.c_void_p(-1).value:
            raise OSError(ctypes.get_errno(), "refused")

    def make_executable() -> None:
        address = ctypes.addressof(ctypes.c_char.from_buffer(PAGE))
        check(LIBC.mprotect(ctypes.c_void_p(address), mmap.PAGESIZE, 5))

    return {
        "read a file": lambda: (folder / "file").read_bytes(),
        "read the list of users": lambda: Path("/etc/passwd").read_bytes(),
        "list a folder": lambda: os.listdir(folder),
        "make a file": lambda: (folder / "new").write_bytes(b"x"),
        "write to a file": lambda: os.close(os.open(folder / "file", os.O_WRONLY)),
        "truncate a file": lambda: os.truncate(folder / "file", 1),
        "make a folder": lambda: (folder / "made").mkdir(),
        "delete a file": lambda: (folder / "file").unlink(),
        "rename a file": lambda: (folder / "file").rename(folder / "renamed"),
        "make a link": lambda: (folder / "link").symlink_to("file"),
        "change a mode": lambda: (folder / "file").chmod(0o777),
        "change its folder": lambda: os.chdir("/"),
        "open its own descriptor again": lambda: os.open("/proc/self/fd/0", os.O_RDONLY),
        "connect by TCP": lambda: connect(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", port)),
        "listen on TCP": listen,
        "connect by UDP": lambda: connect(socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", port)),
        "connect to a Unix socket": lambda: connect(socket.AF_UNIX, socket.SOCK_STREAM, str(folder / "listener")),
        "connect to an abstract socket": lambda: connect(socket.AF_UNIX, socket.SOCK_STREAM, f"\0open-speech-{port}"),
        "make a pair of sockets": socket.socketpair,
        "pass on a descriptor": lambda: here.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [0]))]),
        "run a program": lambda: os.execv("/bin/true", ["true"]),
        "fork": fork,
        "trace a process": trace,
        "read the memory of a process": lambda: copy_memory(NUMBERS["vm_readv"]),
        "write the memory of a process": lambda: copy_memory(NUMBERS["vm_writev"]),
        "open the memory of a process": lambda: os.open(f"/proc/{target}/mem", os.O_RDWR),
        "open a process": lambda: check(LIBC.syscall(PIDFD_OPEN, target, 0)),
        "signal a process": lambda: os.kill(target, signal.SIGCONT),
        "signal its parent": lambda: os.kill(os.getppid(), signal.SIGCONT),
        "lift a limit of its own": lambda: resource.setrlimit(resource.RLIMIT_CORE, limit),
        "change a limit of a process": lambda: resource.prlimit(target, resource.RLIMIT_CORE, limit),
        "map executable memory": map_executable,
        "make memory executable": make_executable,
        "make a file in memory": lambda: os.memfd_create("x"),
        "control a device": lambda: fcntl.ioctl(there, FIONREAD, bytes(4)),
        "become another user": lambda: os.setuid(65534),
        "unshare its user": lambda: check(LIBC.unshare(0x10000000)),
        "change its personality": lambda: check(LIBC.personality(0x0400000)),
        "rename itself": lambda: check(LIBC.prctl(15, b"innocent", 0, 0, 0)),
    }


def outcome(attempt: Callable[[], object], layers: set[str]) -> str | int:
    """Confine a fork of this process by `layers`, and try there."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            if layers:
                resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
                confine(landlocked="landlock" in layers, filtered="seccomp" in layers)
            attempt()
            os.write(writing, b"done")
        except OSError as error:
            os.write(writing, str(error.errno).encode())
        except ValueError as error:  # of setrlimit, which hides the error
            os.write(writing, str(errno.EPERM if "not allowed" in str(error) else error).encode())
        except BaseException as error:  # noqa: BLE001 - whatever it is, it is not done
            os.write(writing, repr(error).encode())
        finally:
            os._exit(0)
    os.close(writing)
    _, status = os.waitpid(child, 0)
    said = os.read(reading, 100).decode()
    os.close(reading)
    return "killed" if status else int(said) if said.isdecimal() else said or "done"  # a program that was run says nothing


def main() -> None:
    layers = set(sys.argv[1].split(",")) - {"none"}
    folder, target, port = Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    preload()
    found = {}
    for name in attempts(folder, target, port):
        (folder / "file").write_bytes(b"secret")
        for left in ("new", "renamed", "link"):
            (folder / left).unlink(missing_ok=True)
        if (folder / "made").exists():
            (folder / "made").rmdir()
        found[name] = outcome(attempts(folder, target, port)[name], layers)
    print(json.dumps(found))  # noqa: T201


if __name__ == "__main__":
    main()
