"""Files that are there whole or not at all, also when the machine loses power. Blocking."""

from __future__ import annotations

import errno
import hashlib
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

from open_speech.errors import StorageFailed, StorageFull
from open_speech.security.private_files import open_private, settle, sync

RESERVE_BYTES = 64 << 20
"""Space that is left free on the disk: a full one harms everything else on the machine."""
_CHUNK_BYTES = 1 << 20


@contextmanager
def storing() -> Iterator[None]:
    """Raise StorageFull or StorageFailed for what the disk does not take within the block."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StorageFull("The server's disk is full.") from error
        raise StorageFailed(f"The job cannot be stored: {error.strerror}.") from error


def write(path: Path, data: bytes, *, lasting: bool = True) -> None:
    """Put a file in place, in one step. Without `lasting` it may be the one before after a loss of power."""
    part = path.with_name(f".{path.name}")
    with open_private(part, "wb") as file:
        file.write(data)
        if lasting:
            settle(file)
    part.replace(path)
    if lasting:
        sync(path.parent)


def append(path: Path, data: bytes) -> None:
    """Add to a file, and have it on the disk."""
    with open_private(path, "ab") as file:
        file.write(data)
        settle(file)


def take_in(source: bytes | Path, path: Path) -> str:
    """Copy an upload to a new file and have it on the disk; gives its SHA-256 in hexadecimal."""
    digest = hashlib.sha256()
    with BytesIO(source) if isinstance(source, bytes) else source.open("rb") as given, open_private(path, "xb") as file:
        while chunk := given.read(_CHUNK_BYTES):
            digest.update(chunk)
            file.write(chunk)
        settle(file)
    return digest.hexdigest()


def size_of(source: bytes | Path | None) -> int:
    """Tell the bytes of an upload."""
    if source is None:
        return 0
    return len(source) if isinstance(source, bytes) else source.stat().st_size


def free_bytes(folder: Path) -> int:
    """Tell how much may be written to the disk that a folder is on, or will be."""
    while not folder.is_dir():
        folder = folder.parent
    return max(0, shutil.disk_usage(folder).free - RESERVE_BYTES)
