"""Atomic and durable files: each is complete or absent, also after a power failure. Blocking."""

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
"""Space that is left free on the disk, because a full disk harms all other programs on the machine."""
_CHUNK_BYTES = 1 << 20


@contextmanager
def storing() -> Iterator[None]:
    """Raise StorageFull or StorageFailed for an OSError within the block."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StorageFull("The server's disk is full.") from error
        raise StorageFailed(f"The job cannot be stored: {error.strerror}.") from error


def write(path: Path, data: bytes, *, lasting: bool = True) -> None:
    """Replace a file atomically. Without `lasting`, a power failure may restore the previous content."""
    part = path.with_name(f".{path.name}")
    with open_private(part, "wb") as file:
        file.write(data)
        if lasting:
            settle(file)
    part.replace(path)
    if lasting:
        sync(path.parent)


def append(path: Path, data: bytes) -> None:
    """Append to a file and flush it to the disk."""
    with open_private(path, "ab") as file:
        file.write(data)
        settle(file)


def take_in(source: bytes | Path, path: Path) -> str:
    """Copy an upload to a new file, flush it to the disk, and return its SHA-256 in hexadecimal."""
    digest = hashlib.sha256()
    with BytesIO(source) if isinstance(source, bytes) else source.open("rb") as upload, open_private(path, "xb") as file:
        while chunk := upload.read(_CHUNK_BYTES):
            digest.update(chunk)
            file.write(chunk)
        settle(file)
    return digest.hexdigest()


def size_of(source: bytes | Path | None) -> int:
    """Return the size of an upload in bytes."""
    if source is None:
        return 0
    return len(source) if isinstance(source, bytes) else source.stat().st_size


def free_bytes(folder: Path) -> int:
    """Return how many bytes may be written to the disk of a folder, which does not have to exist."""
    while not folder.is_dir():
        folder = folder.parent
    return max(0, shutil.disk_usage(folder).free - RESERVE_BYTES)
