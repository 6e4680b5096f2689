"""A bounded folder of records, each with a recording: `<id>/record.json` and `<id>/sound.wav`. Blocking.

Records are added and deleted atomically, even if the machine loses power. One process writes; a lock serializes its threads.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

from pydantic import BaseModel, ValidationError

from open_speech.audio import Audio
from open_speech.codecs import wav_bytes
from open_speech.errors import StorageFailed
from open_speech.security.private_files import FOLDER_MODE, make_private_folder, open_private, settle, sync

_ID_DIGITS = 24
_STALE_S = 3600
"""Seconds after which incomplete records that a crash left are deleted."""


class Record(BaseModel, frozen=True):
    """The fields of every record."""

    id: str
    created_at: int
    """Unix seconds."""


R = TypeVar("R", bound=Record)


class RecordStore(Generic[R]):
    """Records of one kind, by id, newest first. The folder is created with the first record."""

    def __init__(self, folder: Path, kind: type[R], prefix: str, *, clock: Callable[[], int] = time.time_ns) -> None:
        """Ids are `prefix` and hexadecimal digits that increase with time; `clock` returns nanoseconds."""
        self._folder = folder
        self._kind = kind
        self._prefix = prefix
        self._id = re.compile(rf"{prefix}[0-9a-f]{{{_ID_DIGITS}}}\Z")
        self._clock = clock
        self.lock = threading.RLock()
        """Hold the lock to read records and then add one, so that they do not change in between."""

    def new_id(self) -> tuple[str, int]:
        """Return an id that sorts after all earlier ones, and its Unix seconds."""
        now = self._clock()
        return f"{self._prefix}{now:016x}{secrets.token_hex(4)}", now // 1_000_000_000

    def all(self) -> list[R]:
        """Read every record, newest first; unreadable records are left out."""
        try:
            names = sorted((name for name in os.listdir(self._folder) if self._id.match(name)), reverse=True)
        except FileNotFoundError:
            return []
        return [record for name in names if (record := self.get(name)) is not None]

    def get(self, name: str) -> R | None:
        """Read the record of an id; None if it does not exist or the id is invalid."""
        if not self._id.match(name):
            return None
        try:
            return self._kind.model_validate_json((self._folder / name / "record.json").read_bytes())
        except (FileNotFoundError, ValidationError):
            return None

    def audio_path(self, name: str) -> Path:
        """Return the path of the recording of an id."""
        assert self._id.match(name)
        return self._folder / name / "sound.wav"

    def put(self, record: R, audio: Audio) -> None:
        """Add a record with its recording. Raises StorageFailed if it cannot be written."""
        assert self._id.match(record.id)
        part = self._folder / f".{record.id}"
        with self.lock:
            try:
                self._sweep()
                make_private_folder(self._folder)
                part.mkdir(mode=FOLDER_MODE)
                _write(part / "sound.wav", wav_bytes(audio))
                _write(part / "record.json", record.model_dump_json().encode())
                sync(part)
                part.rename(self._folder / record.id)
                sync(self._folder)
            except OSError as error:
                shutil.rmtree(part, ignore_errors=True)
                raise StorageFailed(f"The recording cannot be stored: {error.strerror}.") from error

    def change(self, record: R) -> None:
        """Replace an existing record; its recording stays. Raises StorageFailed if the record cannot be written."""
        folder = self._folder / record.id
        with self.lock:
            try:
                _write(folder / ".record.json", record.model_dump_json().encode())
                (folder / ".record.json").replace(folder / "record.json")
                sync(folder)
            except OSError as error:
                raise StorageFailed(f"The record cannot be stored: {error.strerror}.") from error

    def remove(self, name: str) -> bool:
        """Delete a record and its recording; return False if it does not exist. Raises StorageFailed if it cannot be deleted."""
        with self.lock:
            if self.get(name) is None:
                return False
            deleted = self._folder / f".{name}"
            try:
                (self._folder / name).rename(deleted)
                sync(self._folder)
                shutil.rmtree(deleted)
            except OSError as error:
                raise StorageFailed(f"The recording cannot be deleted: {error.strerror}.") from error
        return True

    def _sweep(self) -> None:
        if not self._folder.is_dir():
            return
        for path in self._folder.glob(f".{self._prefix}*"):
            if path.stat().st_mtime < time.time() - _STALE_S:
                shutil.rmtree(path, ignore_errors=True)


def _write(path: Path, data: bytes) -> None:
    with open_private(path, "wb") as file:
        file.write(data)
        settle(file)
