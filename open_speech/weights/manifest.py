"""The manifest `.open-speech.json` in a model's folder: at start, sizes are compared with it instead of hashing gigabytes."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from open_speech.backends import ModelEntry
from open_speech.errors import WeightsUnavailable
from open_speech.model_files import HubSource, Source, WeightFile
from open_speech.security.private_files import sync

NAME = ".open-speech.json"
_VERSION = 1


@dataclass(frozen=True, slots=True)
class Manifest:
    """All files of one model, with their hashes; unless `complete`, some files are still missing."""

    model: str
    files: tuple[WeightFile, ...]
    complete: bool = False
    source: str = ""
    """Source of the last file."""
    revision: str | None = None
    """Commit of the hub repository at which the files were listed; None if they were not listed by the hub."""

    def write(self, folder: Path) -> None:
        """Write the manifest into the model's folder atomically. Raises WeightsUnavailable if the folder is not writable."""
        data = {
            "version": _VERSION,
            "model": self.model,
            "complete": self.complete,
            "source": self.source,
            "revision": self.revision,
            "files": [{"path": file.path, "sha256": file.sha256, "size": file.size} for file in self.files],
        }
        try:
            folder.mkdir(parents=True, exist_ok=True)
            part = folder / (NAME + ".part")
            part.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
            part.replace(folder / NAME)
            sync(folder)
        except OSError as error:
            raise WeightsUnavailable(f"The models folder cannot be written: {error.strerror}.") from error

    def sources(self, model: ModelEntry) -> tuple[Source, ...]:
        """Return the model's sources, the hub pinned to the commit at which the files were listed."""
        if self.revision is None:
            return model.sources
        return tuple(replace(source, revision=self.revision) if isinstance(source, HubSource) else source for source in model.sources)

    def is_whole(self, folder: Path, model: ModelEntry) -> bool:
        """Return whether the manifest is complete and agrees with the catalog (which may have changed) and the sizes on disk."""
        recorded = {file.path: file for file in self.files}
        agrees = all(_same(file, recorded.get(file.path)) for file in model.files)
        return self.complete and agrees and all(_size(folder / file.path) == file.size for file in self.files)


def read(folder: Path) -> Manifest | None:
    """Read the manifest of a model's folder; None if it is missing or invalid."""
    try:
        data: dict[str, Any] = json.loads((folder / NAME).read_text(encoding="utf-8"))
        files = tuple(WeightFile(str(file["path"]), file["sha256"], file["size"]) for file in data["files"])
        return Manifest(str(data["model"]), files, data["complete"] is True, str(data["source"]), data["revision"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def merge(catalog: Iterable[WeightFile], recorded: Iterable[WeightFile]) -> tuple[WeightFile, ...]:
    """Return the catalog's files, with recorded hashes where it has none; the recorded files if the catalog lists none."""
    known = {file.path: file for file in recorded}
    listed = tuple(catalog)
    if not listed:
        return tuple(known.values())
    return tuple(replace(known.get(file.path, file), md5=file.md5) if file.sha256 is None else file for file in listed)


def _same(file: WeightFile, recorded: WeightFile | None) -> bool:
    return recorded is not None and file.sha256 in (None, recorded.sha256)


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None
