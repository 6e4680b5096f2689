"""A Landlock ruleset without rules, for each version of the kernel's interface: it denies every access that it can deny. Pure.

Source: Linux `Documentation/userspace-api/landlock.rst` and `include/uapi/linux/landlock.h`.
"""

from __future__ import annotations

import struct

CREATE_RULESET, RESTRICT_SELF = 444, 446
"""Numbers of the system calls, the same on every architecture."""
VERSION = 1
"""Flag with which CREATE_RULESET returns the version of the interface (its ABI) and creates no ruleset."""

_FILES = {1: 13, 2: 14, 3: 15, 5: 16}
"""ABI -> number of its file access rights: all kinds of opening, creating and deleting from 1 on, then linking and renaming across
folders (2), truncating (3), and ioctl on devices (5)."""
_TCP = 0b11
"""Binding and connecting TCP sockets, from ABI 4 on."""
_SCOPES = 0b11
"""Connections to abstract Unix sockets and signals to processes outside the sandbox, from ABI 6 on."""


def ruleset(abi: int) -> bytes:
    """Return the `struct landlock_ruleset_attr` that denies everything that ABI `abi` (1 or later) can deny."""
    files = (1 << max(count for since, count in _FILES.items() if since <= abi)) - 1
    fields = [files, *([_TCP] if abi >= 4 else []), *([_SCOPES] if abi >= 6 else [])]
    return struct.pack(f"={len(fields)}Q", *fields)
