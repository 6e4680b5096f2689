"""The folder of the accepted model indexes, in the models folder: each index with its pin. Blocking.

`NAME/accepted.json` refers to `NAME/SHA256.toml`. The content is hashed again whenever it is read.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

from open_speech.errors import UnknownItem
from open_speech.model_indexes.parsing import parse
from open_speech.model_indexes.rows import index_of
from open_speech.model_indexes.values import AcceptedIndex, IndexRefused, IndexReport, StoredIndex
from open_speech.security.private_files import sync

FOLDER = ".indexes"
"""Name of the folder in the models folder."""
_RECORD = "accepted.json"
_VERSION = 1
_NAME = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*", re.ASCII)


class ModelIndexes:
    """The accepted indexes of one models folder."""

    def __init__(self, models_dir: Path) -> None:
        self._root = models_dir.expanduser() / FOLDER

    def all(self) -> tuple[list[StoredIndex], list[IndexReport]]:
        """Read every accepted index, by name, and report those that cannot be used."""
        stored, reports = [], []
        try:
            names = sorted(path.name for path in self._root.iterdir() if _NAME.fullmatch(path.name))
        except OSError:
            names = []
        for name in names:
            try:
                stored.append(self._read(name))
            except IndexRefused as refused:
                reports.append(IndexReport(name, "", refused.message))
        return stored, reports

    def accepted(self) -> list[AcceptedIndex]:
        """List the acceptances, by name, of the indexes whose record is readable."""
        found = []
        for record in sorted(self._root.glob(f"*/{_RECORD}")):
            try:
                found.append(self._record(record.parent.name))
            except IndexRefused:
                continue
        return found

    def write(self, accepted: AcceptedIndex, content: bytes) -> None:
        """Store an index that was accepted, in place of its earlier version. Raises IndexRefused if the folder is not writable."""
        folder = self._root / accepted.name
        try:
            folder.mkdir(parents=True, exist_ok=True)
            target = folder / f"{accepted.sha256}.toml"
            _replace(target, content)
            _replace(folder / _RECORD, json.dumps({"version": _VERSION, **asdict(accepted)}, indent=1).encode() + b"\n")
            for other in folder.glob("*.toml"):
                if other != target:
                    other.unlink()
            sync(folder)
        except OSError as error:
            raise IndexRefused(f"The models folder cannot be written: {error.strerror or error}.") from error

    def remove(self, name: str) -> None:
        """Delete an index; downloaded weights stay. Raises UnknownItem if there is none of this name, or IndexRefused."""
        folder = self._root / name
        if not _NAME.fullmatch(name) or not folder.is_dir():
            raise UnknownItem(f"There is no model index `{name}`. `open-speech models indexes` lists them.", param="name")
        try:
            shutil.rmtree(folder)
        except OSError as error:
            raise IndexRefused(f"The index cannot be deleted: {error.strerror or error}.") from error

    def _read(self, name: str) -> StoredIndex:
        accepted = self._record(name)
        try:
            content = (self._root / name / f"{accepted.sha256}.toml").read_bytes()
        except OSError as error:
            raise IndexRefused(f"its stored content cannot be read: {error.strerror or error}") from error
        if hashlib.sha256(content).hexdigest() != accepted.sha256:
            raise IndexRefused("its stored content does not have the accepted SHA-256: add the index again")
        return StoredIndex(accepted, index_of(parse(content), allow_private=accepted.allow_private))

    def _record(self, name: str) -> AcceptedIndex:
        try:
            data: dict[str, Any] = json.loads((self._root / name / _RECORD).read_text(encoding="utf-8"))
            record = AcceptedIndex(
                name=str(data["name"]),
                source=str(data["source"]),
                sha256=str(data["sha256"]),
                revision=int(data["revision"]),
                key=str(data["key"]),
                allow_private=data["allow_private"] is True,
            )
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise IndexRefused("its record cannot be read: remove the index and add it again") from error
        if record.name != name or not re.fullmatch(r"[0-9a-f]{64}", record.sha256):
            raise IndexRefused("its record is invalid: remove the index and add it again")
        return record


def _replace(target: Path, content: bytes) -> None:
    part = target.with_name(target.name + ".part")
    part.write_bytes(content)
    part.replace(target)
