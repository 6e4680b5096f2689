"""What is known of a model's folder, kept in it as `.open-speech.json`: start-up compares sizes with it instead of hashing gigabytes."""

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
    """The files of one model: all of them, with the hashes found; while not `complete` some are still missing."""

    model: str
    files: tuple[WeightFile, ...]
    complete: bool = False
    source: str = ""
    """Where the last file came from."""
    revision: str | None = None
    """Commit of the hub repository that listed the files, if it was asked."""

    def write(self, folder: Path) -> None:
        """Put it into the model's folder, whole or not at all. Raises WeightsUnavailable if the folder takes no files."""
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
        """Give the model's sources, the hub held to the commit that the files were listed at."""
        if self.revision is None:
            return model.sources
        return tuple(replace(source, revision=self.revision) if isinstance(source, HubSource) else source for source in model.sources)

    def is_whole(self, folder: Path, model: ModelEntry) -> bool:
        """Compare with the catalog (it may have moved on) and with the sizes on disk."""
        recorded = {file.path: file for file in self.files}
        agrees = all(_same(file, recorded.get(file.path)) for file in model.files)
        return self.complete and agrees and all(_size(folder / file.path) == file.size for file in self.files)


def read(folder: Path) -> Manifest | None:
    """Read the manifest of a model's folder; None if there is none that can be understood."""
    try:
        data: dict[str, Any] = json.loads((folder / NAME).read_text(encoding="utf-8"))
        files = tuple(WeightFile(str(file["path"]), file["sha256"], file["size"]) for file in data["files"])
        return Manifest(str(data["model"]), files, data["complete"] is True, str(data["source"]), data["revision"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def merge(catalog: Iterable[WeightFile], recorded: Iterable[WeightFile]) -> tuple[WeightFile, ...]:
    """Fill in what the catalog does not know from what was recorded; a catalog that lists files alone says which there are."""
    known = {file.path: file for file in recorded}
    listed = tuple(catalog)
    if not listed:
        return tuple(known.values())
    return tuple(known.get(file.path, file) if file.sha256 is None else file for file in listed)


def _same(file: WeightFile, recorded: WeightFile | None) -> bool:
    return recorded is not None and file.sha256 in (None, recorded.sha256)


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None
