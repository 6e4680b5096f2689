"""Wheels and sdists as data: their members are read as streams of bytes. Nothing is installed, imported or unpacked by name."""

from __future__ import annotations

import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

from open_speech.errors import WeightsCorrupt
from open_speech.weights.part_file import CHUNK


class OpenArchive:
    """An archive whose members can be read. A context manager; raises WeightsCorrupt if the file is not an archive."""

    def __init__(self, path: Path) -> None:
        self._name = path.name
        self._file: zipfile.ZipFile | tarfile.TarFile
        try:
            self._file = zipfile.ZipFile(path) if zipfile.is_zipfile(path) else tarfile.open(path)
        except (OSError, tarfile.TarError, zipfile.BadZipFile) as error:
            raise WeightsCorrupt(f"{self._name} cannot be read as an archive.") from error

    def __enter__(self) -> OpenArchive:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._file.close()

    def position(self, member: str) -> int:
        """Return a member's offset, for reading in order, because a compressed tar can only be read forwards; -1 if it is missing."""
        try:
            if isinstance(self._file, zipfile.ZipFile):
                return self._file.getinfo(member).header_offset
            return self._file.getmember(member).offset
        except KeyError:
            return -1

    def read(self, member: str) -> Iterator[bytes]:
        """Yield a member's bytes. Raises WeightsCorrupt if it is missing, not a plain file, or damaged."""
        try:
            opened = self._file.open(member) if isinstance(self._file, zipfile.ZipFile) else self._file.extractfile(member)
            if opened is None:
                raise WeightsCorrupt(f"{self._name}: {member} is not a file.")
            with opened:
                while chunk := opened.read(CHUNK):
                    yield chunk
        except KeyError as error:
            raise WeightsCorrupt(f"{self._name} has no {member}.") from error
        except (OSError, EOFError, zlib.error, tarfile.TarError, zipfile.BadZipFile) as error:
            raise WeightsCorrupt(f"{self._name}: {member} cannot be read.") from error
