"""The seccomp filter of a process that only computes: an allowlist of system calls, as a BPF program. Pure.

With an allowlist, a system call that a later kernel adds is denied without a change here. Allowed are memory, threads, clocks, and
reading and writing of descriptors that are already open. The process can therefore not open a file, create or connect a socket, start a
program, fork, trace or signal a process, or make memory executable. abort() cannot raise SIGABRT either, and then ends the process by
an invalid instruction. `newfstatat`, by which some C libraries read the attributes of open files, can also read those of a path: the
process can find out whether a path exists, its size and its times.

Sources: Linux `Documentation/userspace-api/seccomp_filter.rst`; `include/uapi/linux/{seccomp,filter,audit,sched}.h`; the system call
tables of x86-64 and of arm64 (`include/uapi/asm-generic/unistd.h`).
"""

from __future__ import annotations

import errno
import functools
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

INSTRUCTION = struct.Struct("=HBBI")
"""One `struct sock_filter`: code, jump if true, jump if false, operand."""
ALLOW, KILL_PROCESS, ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
"""Return values of a filter; ERRNO contains the error number in its lower 16 bits."""
REFUSED = ERRNO | errno.EPERM
ABSENT = ERRNO | errno.ENOSYS

_LOAD, _AND, _EQUAL, _RETURN = 0x20, 0x54, 0x15, 0x06
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16
"""Offsets of the fields of `struct seccomp_data`; six 64-bit arguments begin at the last offset."""
_WHOLE = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class Architecture:
    """An architecture that the filter supports."""

    audit: int
    """The kernel's identifier, `AUDIT_ARCH_*`. System calls of another architecture, such as 32-bit ones on x86-64, end the process."""
    column: int
    """Column of its numbers in NUMBERS."""


ARCHITECTURES: Mapping[str, Architecture] = {"x86_64": Architecture(0xC000003E, 0), "aarch64": Architecture(0xC00000B7, 1)}
"""`platform.machine()` -> architecture, for 64-bit little-endian processes."""

NUMBERS: Mapping[str, tuple[int, int]] = {
    # memory
    "brk": (12, 214), "madvise": (28, 233), "mmap": (9, 222), "mprotect": (10, 226), "mremap": (25, 216), "munmap": (11, 215),
    # open descriptors
    "close": (3, 57), "fcntl": (72, 25), "fstat": (5, 80), "lseek": (8, 62), "newfstatat": (262, 79), "pread64": (17, 67), "read": (0, 63),
    "readv": (19, 65), "recvfrom": (45, 207), "recvmsg": (47, 212), "sendto": (44, 206), "write": (1, 64), "writev": (20, 66),
    # threads
    "clone": (56, 220), "clone3": (435, 435), "exit": (60, 93), "futex": (202, 98), "getcpu": (309, 168), "gettid": (186, 178),
    "membarrier": (324, 283), "rseq": (334, 293), "sched_getaffinity": (204, 123), "sched_yield": (24, 124), "set_robust_list": (273, 99),
    # signal handlers, timers, clocks, and exit
    "clock_getres": (229, 114), "clock_gettime": (228, 113), "clock_nanosleep": (230, 115), "exit_group": (231, 94), "getpid": (39, 172),
    "getrandom": (318, 278), "getrusage": (98, 165), "gettimeofday": (96, 169), "nanosleep": (35, 101), "prlimit64": (302, 261),
    "restart_syscall": (219, 128), "rt_sigaction": (13, 134), "rt_sigprocmask": (14, 135), "rt_sigreturn": (15, 139),
    "setitimer": (38, 103), "sigaltstack": (131, 132),
}  # fmt: skip
"""Allowed system calls, with their numbers on x86-64 and on arm64; some only with certain arguments (CONDITIONS)."""


@dataclass(frozen=True, slots=True)
class Argument:
    """A condition on one argument: `(value & mask)` is one of `allowed`. Only the lower 32 bits are checked; the kernel uses no others."""

    index: int
    mask: int
    allowed: tuple[int, ...]


_THREAD = 0x00010000
_NEW_NAMESPACES = 0x7E020080
_EXECUTABLE = 4
_GETFD, _SETFD, _GETFL, _DUPFD_CLOEXEC = 1, 2, 3, 1030
_EMPTY_PATH = 0x1000


CONDITIONS: Mapping[str, Argument] = {
    "clone": Argument(0, _THREAD | _NEW_NAMESPACES, (_THREAD,)),  # a new thread of this process, not a new process
    "mmap": Argument(2, _EXECUTABLE, (0,)),
    "mprotect": Argument(2, _EXECUTABLE, (0,)),
    "fcntl": Argument(1, _WHOLE, (_GETFD, _SETFD, _GETFL, _DUPFD_CLOEXEC)),  # no F_SETOWN (signals), no locks
    "newfstatat": Argument(3, _EMPTY_PATH, (_EMPTY_PATH,)),
    "prlimit64": Argument(0, _WHOLE, (0,)),  # its own limits; without capabilities they can only be lowered
}
"""System call -> condition under which it is allowed."""


@functools.cache
def program(machine: str) -> bytes:
    """Return the filter as an array of `struct sock_filter`. Raises KeyError for a machine that is not in ARCHITECTURES."""
    architecture = ARCHITECTURES[machine]
    code = [(_LOAD, 0, 0, _ARCHITECTURE), (_EQUAL, 1, 0, architecture.audit), (_RETURN, 0, 0, KILL_PROCESS), (_LOAD, 0, 0, _NUMBER)]
    for name, numbers in NUMBERS.items():
        answer = [(_RETURN, 0, 0, ALLOW)]
        if name in CONDITIONS:
            answer = list(_condition(CONDITIONS[name]))
        elif name == "clone3":  # its flags are in memory, which a filter cannot read; the C library falls back to clone
            answer = [(_RETURN, 0, 0, ABSENT)]
        code += [(_EQUAL, 0, len(answer), numbers[architecture.column]), *answer]
    code.append((_RETURN, 0, 0, REFUSED))
    return b"".join(INSTRUCTION.pack(*instruction) for instruction in code)


def _condition(argument: Argument) -> Iterable[tuple[int, int, int, int]]:
    yield _LOAD, 0, 0, _ARGUMENTS + 8 * argument.index
    yield _AND, 0, 0, argument.mask
    for value in argument.allowed:
        yield _EQUAL, 0, 1, value
        yield _RETURN, 0, 0, ALLOW
    yield _RETURN, 0, 0, REFUSED
