"""Files that nobody but the server's user reads, and that are there after a loss of power. Blocking."""

from __future__ import annotations

import logging
import os
import stat
from pathlib import Path
from typing import BinaryIO, Literal

log = logging.getLogger("open_speech")

FOLDER_MODE, FILE_MODE = 0o700, 0o600
_OTHERS = 0o077
_FLAGS = {
    "wb": os.O_WRONLY | os.O_TRUNC, "w+b": os.O_RDWR | os.O_TRUNC, "ab": os.O_WRONLY | os.O_APPEND, "xb": os.O_WRONLY | os.O_EXCL,
}  # fmt: skip


def make_private_folder(folder: Path) -> None:
    """Make a folder, with those above it, that only this user can enter; one that is there stays as it is. Raises OSError."""
    folder.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)


def open_private(path: Path, mode: Literal["wb", "w+b", "ab", "xb"]) -> BinaryIO:
    """Open a file for writing; a new one can be read by this user alone, whatever the umask. Raises OSError."""
    return os.fdopen(os.open(path, _FLAGS[mode] | os.O_CREAT | os.O_CLOEXEC, FILE_MODE), mode)


def make_private(*places: Path) -> int:
    """Take the permissions of other users from files, and from folders with all that is in them; return how many had some.

    Links are not followed, except where one of `places` is a link. What belongs to somebody else is logged and left as it is.
    """
    changed = 0
    for place in places:
        before, foreign = changed, 0
        for path in _all_in(place.resolve()):
            try:
                mode = path.lstat().st_mode
                if stat.S_ISLNK(mode) or not mode & _OTHERS:
                    continue
                path.chmod(stat.S_IMODE(mode) & ~_OTHERS)
                changed += 1
            except FileNotFoundError:  # another process deletes things as well
                continue
            except PermissionError:
                foreign += 1
        if foreign:
            log.warning("%s: other users may read %d files and folders, and the server may not change their permissions", place, foreign)
        if changed > before:
            log.warning("%s: removed the access of other users to %d files and folders", place, changed - before)
    return changed


def _all_in(place: Path) -> list[Path]:
    """List a place and what is in it, the folders before their contents; nothing where there is nothing."""
    if not os.path.exists(place):  # Path.exists raises where a folder above cannot be entered
        return []
    inner = [Path(folder) / name for folder, folders, files in os.walk(place) for name in (*folders, *files)]
    return [place, *inner]


def settle(file: BinaryIO) -> None:
    """Have what was written to a file on the disk."""
    file.flush()
    os.fsync(file.fileno())


def sync(folder: Path) -> None:
    """Have the names in a folder on the disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
