"""The system calls by which this process confines itself. Linux; elsewhere nothing is in force, and that is what is reported.

They go through the C library by ctypes. There are packages for this: `pyseccomp` needs libseccomp (LGPL) on the machine, `landlock` is a
development release of 2025 that knows no scopes, `python-prctl` is GPL. None of them makes this file much shorter than it is.
"""

from __future__ import annotations

import ctypes
import functools
import json
import os
import platform
import struct
from contextlib import suppress
from dataclasses import asdict, dataclass

from open_speech.sandbox import landlock, seccomp

_GET_DUMPABLE, _SET_DUMPABLE, _SET_NO_NEW_PRIVS, _GET_NO_NEW_PRIVS = 3, 4, 38, 39
"""Operations of prctl(2)."""
_SECCOMP = {"x86_64": 317, "aarch64": 277}
_SET_FILTER = 1
_ALL_THREADS, _KEEP_SPECULATION = 1, 4
"""Flags of seccomp(2). Before Linux 5.16 a filter switched speculative loads off, which costs a decoder 10 to 20 %; they would be of use
against secrets in the same process, and there are none."""
_CAPABILITIES = struct.pack("=Ii", 0x20080522, 0)
"""`struct __user_cap_header_struct`: the third version, this process."""


@dataclass(frozen=True, slots=True)
class InForce:
    """What this process cannot do any more."""

    no_new_privs: bool = False
    """A set-user-ID program gives it no privileges."""
    no_capabilities: bool = False
    """It has no capabilities, also when it runs as root."""
    landlock: int = 0
    """ABI of the Landlock ruleset that refuses it files, TCP (from 4 on), and abstract sockets and signals (from 6 on); 0: none."""
    seccomp: bool = False
    """It can make only the system calls of `seccomp.NUMBERS`."""
    not_dumpable: bool = False
    """Processes of the same user can neither trace it nor read its memory and environment, and it leaves no core dump."""

    @property
    def missing(self) -> tuple[str, ...]:
        """Names of what is not in force."""
        return tuple(name for name, there in self._parts if not there)

    def __str__(self) -> str:
        there = [name for name, is_there in self._parts if is_there]
        missing = f"; not in force: {', '.join(self.missing)}" if self.missing else ""
        return (", ".join(there) or "nothing") + missing

    @property
    def _parts(self) -> tuple[tuple[str, object], ...]:
        return (
            ("no_new_privs", self.no_new_privs),
            ("no capabilities", self.no_capabilities),
            (f"Landlock ABI {self.landlock}" if self.landlock else "Landlock", self.landlock),
            ("seccomp", self.seccomp),
            ("not dumpable", self.not_dumpable),
        )

    def encode(self) -> bytes:
        """Write it as JSON."""
        return json.dumps(asdict(self)).encode()


def preload() -> None:
    """Load and make before a fork what `confine` needs, and the unwinder, which the C library would open when a thread ends."""
    if platform.system() == "Linux":
        _libc()
        with suppress(OSError):
            ctypes.CDLL("libgcc_s.so.1")
        with suppress(KeyError):
            seccomp.program(platform.machine())


def hide_memory() -> bool:
    """Keep other processes of the same user from tracing this one and from reading its memory and environment; return whether it holds.

    The process leaves no core dump either. Root, who has CAP_SYS_PTRACE, is not kept out. A program that is started is not covered.
    """
    if platform.system() != "Linux":
        return False
    libc = _libc()
    libc.prctl(_SET_DUMPABLE, 0, 0, 0, 0)
    return bool(libc.prctl(_GET_DUMPABLE, 0, 0, 0, 0) == 0)


def confine(*, landlocked: bool = True, filtered: bool = True) -> InForce:
    """Confine this process for good, as far as the kernel can, and return what is in force.

    What is open stays open. `landlocked` and `filtered` are there to try each of the two layers without the other. Landlock holds for the
    calling thread and for threads and processes that it starts later, so this is for a process with a single thread.
    """
    if platform.system() != "Linux":
        return InForce()
    libc = _libc()
    not_dumpable = hide_memory()
    libc.prctl(_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    no_new_privs = libc.prctl(_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1
    no_capabilities = libc.capset(_CAPABILITIES, bytes(24)) == 0
    abi = _landlock(libc) if landlocked and no_new_privs else 0
    return InForce(no_new_privs, no_capabilities, abi, filtered and no_new_privs and _filter(libc), not_dumpable)


@functools.cache
def _libc() -> ctypes.CDLL:
    libc = ctypes.CDLL(None)
    libc.prctl.argtypes = (ctypes.c_int, *[ctypes.c_ulong] * 4)  # it refuses what is not 0 in all 64 bits
    return libc


def _landlock(libc: ctypes.CDLL) -> int:
    """Refuse this process all that Landlock can; return the ABI, 0 without Landlock."""
    abi = int(libc.syscall(landlock.CREATE_RULESET, None, ctypes.c_size_t(0), landlock.VERSION))
    if abi < 1:
        return 0
    attributes = landlock.ruleset(abi)
    ruleset = int(libc.syscall(landlock.CREATE_RULESET, attributes, ctypes.c_size_t(len(attributes)), 0))
    if ruleset < 0:
        return 0
    try:
        return abi if libc.syscall(landlock.RESTRICT_SELF, ruleset, 0) == 0 else 0
    finally:
        os.close(ruleset)


class _Program(ctypes.Structure):
    """`struct sock_fprog`."""

    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def _filter(libc: ctypes.CDLL) -> bool:
    """Put the filter of system calls in place; return whether it is."""
    machine = platform.machine()
    if machine not in seccomp.ARCHITECTURES or struct.calcsize("P") != 8:  # a 32-bit process makes other system calls
        return False
    code = seccomp.program(machine)
    program = _Program(len(code) // seccomp.INSTRUCTION.size, code)
    flags = _ALL_THREADS | _KEEP_SPECULATION
    return bool(libc.syscall(_SECCOMP[machine], _SET_FILTER, flags, ctypes.byref(program)) == 0)
