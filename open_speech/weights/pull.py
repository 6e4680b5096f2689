"""One pull of one model: finds missing files and fetches them from one source after another. Runs under the model's lock."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from open_speech.backends import ModelEntry
from open_speech.errors import WeightsCorrupt, WeightsUnavailable
from open_speech.model_files import HubSource, WeightFile
from open_speech.weights import manifest
from open_speech.weights.by_hand import whisper_files
from open_speech.weights.hub import Hub, Listing
from open_speech.weights.manifest import Manifest
from open_speech.weights.part_file import md5_of, sha256_of
from open_speech.weights.progress import Meter
from open_speech.weights.reach import SourceFailed
from open_speech.weights.sources import CACHE, HUB, LOCAL, Downloader, name_of

_NAMED = 3
"""Number of missing files that an error names; it counts the others."""


class Pull:
    """Completes a model's folder: with existing files, then from the hub cache, then from the catalog's sources in order."""

    def __init__(self, model: ModelEntry, folder: Path, meter: Meter, downloader: Downloader, hub: Hub, *, offline: bool) -> None:  # noqa: PLR0913
        self._model = model
        self._folder = folder
        self._meter = meter
        self._downloader = downloader
        self._hub = hub
        self._offline = offline
        self._found: dict[str, WeightFile] = {}
        self._reasons: list[str] = ["OS_OFFLINE is set"] if offline else []
        self._corrupt: WeightsCorrupt | None = None

    def run(self) -> None:
        """Complete the folder. Raises UnknownModel, WeightsCorrupt or WeightsUnavailable as described at Store.pull."""
        plan = self._plan()
        if plan.revision:
            # From now on, a folder with some of the files is an interrupted pull, not a model copied by hand.
            plan.write(self._folder)
        source = LOCAL
        self._adopt(plan.files)
        for origin in plan.sources(self._model):
            if isinstance(origin, HubSource) and (missing := self._missing(plan)):
                source = self._collect(CACHE, self._downloader.fetch_cached(origin, missing)) or source
        for origin in () if self._offline else plan.sources(self._model):
            if missing := self._missing(plan):
                source = self._collect(name_of(origin), self._downloader.fetch(origin, missing)) or source
        if missing := self._missing(plan):
            raise self._corrupt or self._unavailable(missing)
        files = tuple(self._found[file.path] for file in plan.files)
        Manifest(self._model.id, files, complete=True, source=source, revision=plan.revision).write(self._folder)

    def _plan(self) -> Manifest:
        """Return the list of the model's files: from the catalog, an earlier pull, the folder itself, or the hub."""
        recorded = manifest.read(self._folder)
        files = manifest.merge(self._model.files, recorded.files if recorded else ())
        if files:
            return Manifest(self._model.id, files, revision=recorded.revision if recorded else None)
        # No pull started in this folder, so its files were copied by hand and are complete.
        by_hand = whisper_files([path.name for path in self._folder.iterdir()] if self._folder.is_dir() else [])
        if by_hand:
            return Manifest(self._model.id, tuple(WeightFile(path) for path in by_hand))
        for origin in self._model.sources:
            if isinstance(origin, HubSource) and (listing := self._listing(origin)):
                return Manifest(self._model.id, tuple(WeightFile(path) for path in listing.paths), revision=listing.commit)
        raise self._unavailable(())

    def _listing(self, source: HubSource) -> Listing | None:
        if not self._offline:
            try:
                return self._hub.listing(source)
            except SourceFailed as reason:
                self._reasons.append(f"{HUB}: {reason}")
        return self._hub.cached_listing(source)

    def _adopt(self, files: Iterable[WeightFile]) -> None:
        """Accept files in the folder whose content is right. A wrong file remains until a right one replaces it."""
        found = [file for file in files if (self._folder / file.path).is_file()]
        self._meter.step("checking", LOCAL, sum((self._folder / file.path).stat().st_size for file in found))
        for file in found:
            path = self._folder / file.path
            self._meter.file(file.path)
            digest, size = sha256_of(path), path.stat().st_size
            self._meter.at(size)
            if file.md5 is not None and (other := md5_of(path)) != file.md5:
                self._corrupt = WeightsCorrupt(f"{file.path}: MD5 is {other}, expected {file.md5}.")
            elif file.sha256 in (None, digest):
                self._found[file.path] = WeightFile(file.path, digest, size)
            else:
                self._corrupt = WeightsCorrupt(f"{file.path}: SHA-256 is {digest}, expected {file.sha256}.")

    def _collect(self, name: str, files: Iterable[WeightFile]) -> str | None:
        """Accept the files of a source until it fails; return its name if it delivered any."""
        before = len(self._found)
        try:
            for file in files:
                self._found[file.path] = file
        except SourceFailed as reason:
            self._reasons.append(f"{name}: {reason}")
        except WeightsCorrupt as wrong:
            self._corrupt = wrong
        return name if len(self._found) > before else None

    def _missing(self, plan: Manifest) -> list[WeightFile]:
        return [file for file in plan.files if file.path not in self._found]

    def _unavailable(self, missing: Iterable[WeightFile]) -> WeightsUnavailable:
        names = [file.path for file in missing]
        more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
        what = f"{', '.join(names[:_NAMED])}{more}" if names else "its files"
        return WeightsUnavailable(
            f"The model `{self._model.id}` is missing {what} ({'; '.join(self._reasons) or 'no source has them'}). "
            f"Copy them by hand into `{self._model.id}` in the models folder (OS_MODELS_DIR)."
        )
