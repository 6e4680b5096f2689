"""Listening on a Unix socket: check its path, replace the file of a server that has ended, and remove the file at the end."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from open_speech.config import SettingsError

LONGEST_PATH = 107 if sys.platform == "linux" else 103
"""Bytes for a path in `sockaddr_un`, without the zero at its end."""
ANSWER_S = 2.0
"""Seconds that a server may take to accept a connection; a server that takes longer also counts as running."""

Identity = tuple[int, int]
"""Device and inode of a socket's file."""


def trouble(path: Path) -> str:
    """Return why a server cannot listen on this path, as a clause without a full stop; empty if it can. Blocking, up to ANSWER_S.

    The socket file of a server that has ended does not prevent listening.
    """
    length, folder = len(os.fsencode(path)), path.parent
    if length > LONGEST_PATH:
        return f"its path has {length} bytes, and the limit is {LONGEST_PATH}"
    if not folder.is_dir():
        return f"there is no folder {folder}; create it first"
    if not os.access(folder, os.W_OK | os.X_OK):
        return f"this user may not create files in {folder}"
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return ""
    if not stat.S_ISSOCK(mode):
        return "a file that is not a socket has that path; choose another path"
    if is_served(path):
        return "another server listens on it; stop that server or choose another path"
    return ""


def message(path: Path, problem: str) -> str:
    """Return the error message for a result of `trouble`."""
    return f"Cannot listen on the Unix socket {path}: {problem}."


def is_served(path: Path) -> bool:
    """Return whether a process listens on a socket; also True if this cannot be determined, such as without permission."""
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(ANSWER_S)
        try:
            probe.connect(str(path))
        except OSError as error:
            return error.errno not in (errno.ECONNREFUSED, errno.ENOENT)
    return True


def listen(listener: socket.socket, path: Path, *, mode: int, backlog: int) -> Identity:
    """Bind a socket to a path with a file mode, and listen. The file of a server that has ended is replaced.

    Changes the umask of the process temporarily. Raises SettingsError if the path cannot be used.
    """
    with _locked(path):
        if problem := trouble(path):
            raise SettingsError(message(path, problem))
        path.unlink(missing_ok=True)
        before = os.umask(0o777 & ~mode)
        try:
            listener.bind(str(path))
        finally:
            os.umask(before)
        listener.listen(backlog)
        return identity_of(path)


def remove(path: Path, identity: Identity) -> None:
    """Remove the file of a socket, unless another server has replaced it."""
    with suppress(FileNotFoundError):
        if identity_of(path) == identity:
            path.unlink()


def identity_of(path: Path) -> Identity:
    """Return what distinguishes a socket's file from another one with the same path. Raises FileNotFoundError."""
    status = path.lstat()
    return status.st_dev, status.st_ino


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Prevent servers that start at the same time from replacing this server's file between its bind and its listen.

    A folder that cannot be opened is not locked; `trouble` reports what is wrong with it.
    """
    try:
        handle = os.open(path.parent, os.O_RDONLY)
    except OSError:
        yield
        return
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
