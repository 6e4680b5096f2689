"""Writes model files as `.part` files that are hashed while they are written, and moved into place only when complete."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import NoReturn

from open_speech.errors import WeightsCorrupt, WeightsUnavailable
from open_speech.model_files import WeightFile
from open_speech.security.private_files import sync
from open_speech.weights.progress import Meter

CHUNK = 1 << 20
"""Bytes read at a time; large enough that the cost of the loop is negligible beside hashing and writing."""
SPARE_BYTES = 64 << 20
"""Disk space in bytes that a download leaves free."""
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def discard(folder: Path) -> None:
    """Delete a folder of downloaded archives."""
    shutil.rmtree(folder, ignore_errors=True)


def sha256_of(path: Path) -> str:
    """Return the hash of a file's content, as 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def md5_of(path: Path) -> str:
    """Return the MD5 digest of a file's content, as 32 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, _new_md5).hexdigest()


def _new_md5() -> hashlib._Hash:
    return hashlib.md5(usedforsecurity=False)


def require_space(folder: Path, needed: int) -> None:
    """Raise WeightsUnavailable if the disk of `folder` (which need not exist) has no room for `needed` bytes plus SPARE_BYTES."""
    existing = next(place for place in (folder, *folder.parents) if place.exists())
    free = shutil.disk_usage(existing).free
    if needed + SPARE_BYTES > free:
        raise WeightsUnavailable(f"The disk of the models folder has {_mib(free)} free; {_mib(needed)} are needed.")


def _mib(size: int) -> str:
    return f"{size / (1 << 20):,.0f} MiB"


class Part:
    """A file that is being written. A context manager: if it is left early, the `.part` is kept, so that writing can be resumed."""

    def __init__(self, target: Path, expected: WeightFile, *, resume: bool = False) -> None:
        """Write the file `target`; with `resume` the bytes of an earlier attempt are kept and hashed first.

        Raises WeightsUnavailable if the file cannot be written.
        """
        self._target = target
        self.folder = target.parent
        """Folder of the file."""
        self._expected = expected
        self._path = target.with_name(target.name + ".part")
        self._hash, self._md5 = hashlib.sha256(), _new_md5()
        self.size = 0
        """Bytes written so far, including those of an earlier attempt."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._file = self._path.open("r+b" if resume and self._path.is_file() else "wb", buffering=0)
        except OSError as error:
            self._fail(error)
        self._hash_existing()

    def __enter__(self) -> Part:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._file.close()

    def _hash_existing(self) -> None:
        while chunk := self._file.read(CHUNK) if self._file.readable() else b"":
            self._hash.update(chunk)
            if self._expected.md5 is not None:
                self._md5.update(chunk)
            self.size += len(chunk)

    def restart(self) -> None:
        """Discard the bytes so far and start again at the first byte."""
        if self.size:
            self._file.seek(0)
            self._file.truncate()
        self._hash, self._md5 = hashlib.sha256(), _new_md5()
        self.size = 0

    def write(self, chunk: bytes) -> None:
        """Append bytes.

        Raises WeightsCorrupt if there are more than expected, WeightsUnavailable on a full disk; the `.part` is then deleted.
        """
        self.size += len(chunk)
        if self._expected.size is not None and self.size > self._expected.size:
            self.discard()
            raise WeightsCorrupt(f"{self._expected.path}: more than the expected {self._expected.size} bytes; deleted.")
        self._hash.update(chunk)
        if self._expected.md5 is not None:
            self._md5.update(chunk)
        rest = memoryview(chunk)
        try:
            while rest:
                rest = rest[self._file.write(rest) or 0 :]
        except OSError as error:
            self._fail(error)

    def finish(self) -> WeightFile:
        """Verify the content and move the file into place; both are synced to disk. Returns its true hash and size.

        Raises WeightsCorrupt with both hashes if the content differs; the `.part` is then deleted.
        """
        found = WeightFile(self._expected.path, self._hash.hexdigest(), self.size)
        if self._expected.sha256 is not None and found.sha256 != self._expected.sha256:
            self.discard()
            raise WeightsCorrupt(f"{found.path}: SHA-256 is {found.sha256}, expected {self._expected.sha256}; deleted.")
        if self._expected.md5 is not None and self._md5.hexdigest() != self._expected.md5:
            self.discard()
            raise WeightsCorrupt(f"{found.path}: MD5 is {self._md5.hexdigest()}, expected {self._expected.md5}; deleted.")
        if self._expected.size is not None and found.size != self._expected.size:
            self.discard()
            raise WeightsCorrupt(f"{found.path}: {found.size} bytes long, expected {self._expected.size}; deleted.")
        try:
            os.fsync(self._file.fileno())
            self._file.close()
            self._path.replace(self._target)
            sync(self.folder)
        except OSError as error:
            self._fail(error)
        return found

    def discard(self) -> None:
        """Delete the `.part`."""
        self._file.close()
        self._path.unlink(missing_ok=True)

    def _fail(self, error: OSError) -> NoReturn:
        with suppress(OSError):
            self._path.unlink()
        if error.errno in _FULL:
            raise WeightsUnavailable(f"The disk of the models folder is full: {self._expected.path} cannot be written.") from error
        raise WeightsUnavailable(f"{self._expected.path} cannot be written to the models folder: {error.strerror}.") from error


def write_file(chunks: Iterable[bytes], target: Path, expected: WeightFile, meter: Meter) -> WeightFile:
    """Write a whole stream to `target`; return the file with its true hash and size. Raises what Part raises."""
    meter.file(expected.path)
    with Part(target, expected) as part:
        for chunk in chunks:
            part.write(chunk)
            meter.at(part.size)
        return part.finish()
