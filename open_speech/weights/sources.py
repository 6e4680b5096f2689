"""Downloads a model's missing files from one source into its folder. The order of the sources is decided in pull.py."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from open_speech.errors import WeightsCorrupt
from open_speech.model_files import Archive, ArchiveSource, HubSource, Source, UrlSource, WeightFile
from open_speech.security.public_address import require_public_url
from open_speech.weights.archive import OpenArchive
from open_speech.weights.hub import Hub
from open_speech.weights.index import PackageIndex
from open_speech.weights.part_file import CHUNK, discard, require_space, sha256_of, write_file
from open_speech.weights.progress import Meter
from open_speech.weights.reach import Reach, SourceFailed
from open_speech.weights.web import FileUnavailable, Web

HUB, URL, INDEX, LOCAL, CACHE = "hub", "url", "package index", "local folder", "hub cache"


def name_of(source: Source) -> str:
    """Return the name of a source for users."""
    match source:
        case HubSource():
            return HUB
        case UrlSource():
            return URL
        case ArchiveSource():
            return INDEX


class Downloader:
    """Downloader of the files of one model. `incoming` is a folder for archives during download; the caller deletes it."""

    def __init__(self, folder: Path, incoming: Path, meter: Meter, hub: Hub, index: PackageIndex, reach: Reach) -> None:  # noqa: PLR0913
        self._folder = folder
        self._incoming = incoming
        self._meter = meter
        self._hub = hub
        self._index = index
        self._reach = reach

    def fetch(self, source: Source, files: Sequence[WeightFile]) -> Iterator[WeightFile]:
        """Yield each file as soon as it is in place, with its hash and size; files that the source lacks are left out.

        Raises SourceFailed when the source fails, WeightsCorrupt when it delivered other content, WeightsUnavailable when the disk is
        full.
        """
        require_space(self._folder, sum(file.size or 0 for file in files))
        match source:
            case HubSource():
                return self._from_hub(source, files)
            case UrlSource():
                return self._from_urls(source, files)
            case ArchiveSource():
                return self._from_archives(source, files)

    def fetch_cached(self, source: HubSource, files: Sequence[WeightFile]) -> Iterator[WeightFile]:
        """Copy files from the user's own hub cache, and yield those that it has."""
        found = [(file, path) for file in files if (path := self._hub.cached(source, file.path))]
        if not found:
            return
        self._meter.step("checking", CACHE, sum(path.stat().st_size for _, path in found))
        for file, path in found:
            try:
                yield write_file(_chunks(path), self._folder / file.path, file, self._meter)
            except (WeightsCorrupt, OSError):
                # A file of another revision, or a damaged cache, which is not repaired here: the next source is tried.
                continue

    def _from_hub(self, source: HubSource, files: Sequence[WeightFile]) -> Iterator[WeightFile]:
        self._meter.step("downloading", HUB, None)
        urls = {file.path: self._hub.url(source, file.path) for file in files}
        with Web(self._reach) as web:
            files = [self._described(source, file, web) if file.sha256 is None else file for file in files]
            self._meter.step("downloading", HUB, _total(files))
            yield from self._download(web, urls, files, self._hub.headers())

    def _described(self, source: HubSource, file: WeightFile, web: Web) -> WeightFile:
        """Add what the hub knows of a file to what the catalog knows, which counts more."""
        found = self._hub.describe(source, file.path, web)
        return replace(found, size=found.size if file.size is None else file.size, md5=file.md5)

    def _from_urls(self, source: UrlSource, files: Sequence[WeightFile]) -> Iterator[WeightFile]:
        files = [file for file in files if file.path in source.urls]
        self._meter.step("downloading", URL, _total(files))
        with Web(self._reach, check=require_public_url if source.public else None) as web:
            yield from self._download(web, source.urls, files, {})

    def _download(self, web: Web, urls: Mapping[str, str], files: Sequence[WeightFile], headers: dict[str, str]) -> Iterator[WeightFile]:
        reason: FileUnavailable | None = None
        for file in files:
            try:
                yield web.download(urls[file.path], self._folder / file.path, file, self._meter, headers)
            except FileUnavailable as missing:
                reason = missing
        if reason is not None:
            raise reason

    def _from_archives(self, source: ArchiveSource, files: Sequence[WeightFile]) -> Iterator[WeightFile]:
        files = [file for file in files if file.path in source.members]
        needed = sorted({index for file in files for index, _ in source.members[file.path]})
        self._meter.step("downloading", INDEX, _sum(source.archives[index].size for index in needed))
        with Web(self._reach, self._index.verification()) as web:
            paths = {index: self._fetch(source.archives[index], web) for index in needed}
        self._meter.step("unpacking", INDEX, _total(files))
        with ExitStack() as stack:
            # The archives are no longer needed, whatever the result; a damaged one must not be used again.
            stack.callback(discard, self._incoming)
            archives = {index: stack.enter_context(OpenArchive(path)) for index, path in paths.items()}

            def place(file: WeightFile) -> tuple[int, int]:
                index, member = source.members[file.path][0]
                return index, archives[index].position(member)

            for file in sorted(files, key=place):
                parts = (chunk for index, member in source.members[file.path] for chunk in archives[index].read(member))
                yield write_file(parts, self._folder / file.path, file, self._meter)

    def _fetch(self, archive: Archive, web: Web) -> Path:
        """Download one archive and verify it; a local one is used in place."""
        found = self._index.find(archive, web)
        if isinstance(found, str):
            self._incoming.mkdir(parents=True, exist_ok=True)
            target = self._incoming / archive.filename
            if not target.exists():
                web.download(found, target, WeightFile(archive.filename, archive.sha256, archive.size), self._meter)
            return target
        if not found.is_file() or sha256_of(found) != archive.sha256:
            raise SourceFailed(f"the local {archive.filename} has a different SHA-256")
        return found


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            yield chunk


def _total(files: Sequence[WeightFile]) -> int | None:
    return _sum(file.size for file in files)


def _sum(sizes: Iterable[int | None]) -> int | None:
    known = list(sizes)
    return None if None in known else sum(size for size in known if size is not None)
