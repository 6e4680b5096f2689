"""The system calls by which this process confines itself. Linux only; on other systems nothing is in force, which is reported.

The C library is called through ctypes. Packages exist for this: `pyseccomp` needs libseccomp (LGPL) on the machine, `landlock` is a
development release of 2025 without support for scopes, `python-prctl` is GPL. None of them would make this file much shorter.
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
"""Flags of seccomp(2). Before Linux 5.16 a filter disabled speculative loads, which costs a decoder 10 to 20 %. That would protect
secrets in the same process, and there are none."""
_CAPABILITIES = struct.pack("=Ii", 0x20080522, 0)
"""`struct __user_cap_header_struct`: version 3, this process."""


@dataclass(frozen=True, slots=True)
class InForce:
    """The restrictions of this process that are in force."""

    no_new_privs: bool = False
    """A set-user-ID program gives the process no privileges."""
    no_capabilities: bool = False
    """The process has no capabilities, even when it runs as root."""
    landlock: int = 0
    """ABI of the Landlock ruleset that denies files, TCP (from 4 on), and abstract sockets and signals (from 6 on); 0: none."""
    seccomp: bool = False
    """The process can make only the system calls of `seccomp.NUMBERS`."""
    not_dumpable: bool = False
    """Processes of the same user can neither trace the process nor read its memory and environment, and it leaves no core dump."""

    @property
    def missing(self) -> tuple[str, ...]:
        """Names of the restrictions that are not in force."""
        return tuple(name for name, active in self._parts if not active)

    def __str__(self) -> str:
        active = [name for name, is_active in self._parts if is_active]
        missing = f"; not in force: {', '.join(self.missing)}" if self.missing else ""
        return (", ".join(active) or "nothing") + missing

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
        """Return the restrictions as JSON."""
        return json.dumps(asdict(self)).encode()


def preload() -> None:
    """Prepare, before a fork, everything that `confine` needs, and load the unwinder, which the C library opens when a thread ends."""
    if platform.system() == "Linux":
        _libc()
        with suppress(OSError):
            ctypes.CDLL("libgcc_s.so.1")
        with suppress(KeyError):
            seccomp.program(platform.machine())


def hide_memory() -> bool:
    """Prevent other processes of the same user from tracing this one and reading its memory and environment; return whether it worked.

    The process also leaves no core dump. Root, which has CAP_SYS_PTRACE, is not restricted. Programs that are started are not protected.
    """
    if platform.system() != "Linux":
        return False
    libc = _libc()
    libc.prctl(_SET_DUMPABLE, 0, 0, 0, 0)
    return bool(libc.prctl(_GET_DUMPABLE, 0, 0, 0, 0) == 0)


def confine(*, landlocked: bool = True, filtered: bool = True) -> InForce:
    """Confine this process permanently, as far as the kernel supports it, and return the restrictions in force.

    Open files remain open. `landlocked` and `filtered` allow a test of each of the two layers without the other. Landlock applies to the
    calling thread and to threads and processes that it starts later, so the process must have a single thread.
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
    libc.prctl.argtypes = (ctypes.c_int, *[ctypes.c_ulong] * 4)  # prctl rejects unused arguments that are not 0 in all 64 bits
    return libc


def _landlock(libc: ctypes.CDLL) -> int:
    """Apply a ruleset that denies everything that Landlock can; return its ABI, 0 without Landlock."""
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
    """Install the filter of system calls; return whether it is installed."""
    machine = platform.machine()
    if machine not in seccomp.ARCHITECTURES or struct.calcsize("P") != 8:  # a 32-bit process makes other system calls
        return False
    code = seccomp.program(machine)
    program = _Program(len(code) // seccomp.INSTRUCTION.size, code)
    flags = _ALL_THREADS | _KEEP_SPECULATION
    return bool(libc.syscall(_SECCOMP[machine], _SET_FILTER, flags, ctypes.byref(program)) == 0)
