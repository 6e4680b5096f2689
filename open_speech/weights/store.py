"""The models folder: what is in it, and the one way a model's files get into it."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from open_speech.backends import ModelEntry
from open_speech.errors import ModelTooLarge, UnknownModel, WeightsUnavailable
from open_speech.model_files import WeightFile
from open_speech.security.pull_policy import PullGuard
from open_speech.weights import manifest
from open_speech.weights.hub import WHISPER_CORE, Hub
from open_speech.weights.index import PackageIndex
from open_speech.weights.lock import pull_lock
from open_speech.weights.progress import Meter, OnProgress, Progress
from open_speech.weights.pull import Pull, is_by_hand
from open_speech.weights.reach import Reach
from open_speech.weights.sources import Downloader, discard

_MOST_PARTS = 3
_PART = re.compile(r"[A-Za-z0-9][\w.-]*", re.ASCII)
_REACH = Reach()
"""One memory of dead hosts for the whole process."""


@dataclass(frozen=True, slots=True)
class Installed:
    """One model whose files are all here."""

    id: str
    folder: Path
    size_bytes: int
    source: str
    """Where its files came from, as in Progress."""


class Store:
    """A models folder. Everything here blocks; every method is safe to call from several threads and processes at once."""

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
        """With `offline` no socket is ever opened. `hub` and `index` are the user's configured ones unless given.

        `guard` decides which models may be downloaded, and no download is larger than `max_bytes`; None allows all.
        """
        self._guard = guard
        self._max_bytes = max_bytes
        self._root = root.expanduser()
        self._offline = offline
        self._reach = reach
        self._hub = hub or Hub(reach)
        self._index = index or PackageIndex()

    def folder(self, model: ModelEntry) -> Path:
        """Name the folder of a model, present or not. Raises UnknownModel if the id could lead out of the models folder."""
        parts = model.id.split("/")
        if len(parts) > _MOST_PARTS or not all(_PART.fullmatch(part) for part in parts):
            raise UnknownModel(f"The model `{model.id}` does not exist here or on the Hugging Face hub.", param="model")
        return self._root.joinpath(*parts)

    def is_complete(self, model: ModelEntry) -> bool:
        """Tell whether all files of a model are here, by the sizes and hashes recorded when they were checked. Cheap."""
        if not model.files and not model.sources:
            return True
        folder = self.folder(model)
        known = manifest.read(folder)
        return known is not None and known.is_whole(folder, model)

    def files(self, model: ModelEntry) -> tuple[WeightFile, ...]:
        """List a model's files, with the hashes recorded when they were pulled where the catalog does not know them."""
        if model.files and all(file.sha256 for file in model.files):
            return model.files
        known = manifest.read(self.folder(model))
        return manifest.merge(model.files, known.files if known else ())

    def pull(self, model: ModelEntry, on_progress: OnProgress | None = None) -> Path:
        """Make sure that all files of a model are here and have the right content; returns its folder.

        `on_progress` is called in this thread; an exception from it ends the pull, and the next pull goes on from there. Raises
        UnknownModel if neither the catalog nor the hub has it, WeightsCorrupt if all that could be had is something else,
        WeightsUnavailable if a file is missing and no source delivers it, or the disk is full, PullNotAllowed if it is neither here nor
        allowed to be downloaded, and ModelTooLarge if it is larger than a download may be.
        """
        folder = self.folder(model)
        if self.is_complete(model):
            return folder
        if self._guard is not None and not is_by_hand(folder):
            self._guard.check(model.id)
        tell = on_progress or _ignore
        with pull_lock(self._lock_file(model), tell) as lock:
            if not self.is_complete(model):

                def told(progress: Progress) -> None:
                    lock.tell(progress)
                    tell(progress)

                meter = Meter(model.id, told, limit_bytes=self._max_bytes)
                downloader = Downloader(folder, self._incoming(model), meter, self._hub, self._index, self._reach)
                had_folder = folder.exists()
                try:
                    Pull(model, folder, meter, downloader, self._hub, offline=self._offline).run()
                except ModelTooLarge:
                    # What has come so far would fill the disk, repository by repository. Files of the operator's own stay.
                    for left in folder.rglob("*.part") if had_folder else ():
                        left.unlink()
                    if not had_folder:
                        discard(folder)
                    discard(self._incoming(model))
                    raise
                discard(self._incoming(model))
        done = manifest.read(folder)
        size = sum(file.size or 0 for file in done.files) if done else 0
        tell(Progress(model.id, "", size, size, done.source if done else "", "done"))
        return folder

    def remove(self, model: ModelEntry) -> int:
        """Delete a model's folder with all that is in it; returns the bytes freed, 0 if it was not there.

        Raises WeightsUnavailable if it cannot be deleted.
        """
        folder = self.folder(model)
        try:
            with pull_lock(self._lock_file(model), _ignore):
                if folder.is_symlink():
                    # Somebody's own folder, linked here: only the link is ours.
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
        """List the models that were pulled or adopted and are complete, by id."""
        found = []
        # An id has at most three parts, and a folder may be a link to elsewhere, which `**` would not follow.
        for path in (path for depth in ("*", "*/*", "*/*/*") for path in self._root.glob(f"{depth}/{manifest.NAME}")):
            known = manifest.read(path.parent)
            if known is not None and known.complete:
                found.append(Installed(known.model, path.parent, sum(file.size or 0 for file in known.files), known.source))
        return sorted(found, key=lambda model: model.id)

    def by_hand(self) -> dict[str, int]:
        """List the models that somebody put here and that no pull has looked at yet: ids with the sizes of their files in bytes."""
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
    """Tell nobody."""
