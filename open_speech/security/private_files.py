"""Files that only the server's user can read, and functions that make writes durable. Blocking."""

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
    """Create a folder and its parents, accessible to this user only; an existing folder is not changed. Raises OSError."""
    folder.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)


def open_private(path: Path, mode: Literal["wb", "w+b", "ab", "xb"]) -> BinaryIO:
    """Open a file for writing; a new file is readable by this user only, whatever the umask. Raises OSError."""
    return os.fdopen(os.open(path, _FLAGS[mode] | os.O_CREAT | os.O_CLOEXEC, FILE_MODE), mode)


def make_private(*places: Path) -> int:
    """Remove the permissions of other users from files, and from folders with all their contents; return how many had some.

    Links are not followed, except if one of `places` is a link. Files of other users are logged and left as they are.
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
            except FileNotFoundError:  # another process may delete files
                continue
            except PermissionError:
                foreign += 1
        if foreign:
            log.warning("%s: other users may read %d files and folders, and the server may not change their permissions", place, foreign)
        if changed > before:
            log.warning("%s: removed the access of other users to %d files and folders", place, changed - before)
    return changed


def _all_in(place: Path) -> list[Path]:
    """Return a file or folder and its contents, folders before their contents; empty if it does not exist."""
    if not os.path.exists(place):  # Path.exists raises if a parent folder is not accessible
        return []
    inner = [Path(folder) / name for folder, folders, files in os.walk(place) for name in (*folders, *files)]
    return [place, *inner]


def settle(file: BinaryIO) -> None:
    """Flush the content of a file to the disk."""
    file.flush()
    os.fsync(file.fileno())


def sync(folder: Path) -> None:
    """Flush the entries of a folder to the disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
