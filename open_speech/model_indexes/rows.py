"""Rows of a model index as entries of the catalog, and the conditions between their fields. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping

from open_speech.backends import BackendEntry, ModelEntry, Task, Voice
from open_speech.model_files import Archive, ArchiveSource, HubSource, Source, UrlSource, WeightFile
from open_speech.model_indexes.parsing import refusal, row_name
from open_speech.model_indexes.schema import ArchiveRow, FileRow, HubRow, IndexFile, ModelRow, UrlRow, VoiceRow
from open_speech.model_indexes.values import ModelIndex
from open_speech.plugins.checks import model_faults
from open_speech.plugins.names import TakenNames
from open_speech.security.public_address import NotPublic, require_public_url

_RESERVED = (".part",)
"""Ends of file names that the weight store uses itself."""


class Catalog:
    """What the rows of an index are checked against: the backends, and which of them have models with files."""

    def __init__(self, backends: Iterable[BackendEntry], models: Iterable[ModelEntry]) -> None:
        self.backends: Mapping[str, BackendEntry] = {entry.name: entry for entry in backends}
        self.models = tuple(models)
        self._with_files = {model.backend for model in self.models if any(part.files for part in model.whole)}

    def faults(self, model: ModelEntry) -> Iterator[str]:
        """Yield what is wrong with a row besides its single fields."""
        backend = self.backends.get(model.backend)
        if backend is None:
            yield f"`backend` is `{model.backend}`, which this version does not have"
            return
        if backend.prefix:
            yield f"`backend` is `{backend.name}`, whose models its external server determines"
        prefixes = sorted({entry.prefix for entry in self.backends.values() if entry.prefix and model.id.startswith(entry.prefix)})
        yield from (f"`id` must not begin with `{prefix}`, which names models of other servers" for prefix in prefixes)
        if model.backend in self._with_files and not model.files:
            yield "`file` is missing: each file is needed, with its SHA-256 and size"
        yield from model_faults(model, backend)


def index_of(table: IndexFile, *, allow_private: bool) -> ModelIndex:
    """Build an index from its checked tables. `allow_private` allows downloads from private addresses."""
    models = tuple(_entry(row, allow_private=allow_private) for row in table.model)
    return ModelIndex(table.name, table.revision, models, table.description, table.homepage or "")


def require_valid(index: ModelIndex, catalog: Catalog) -> None:
    """Raise IndexRefused naming each row that is invalid, or whose name is taken by the catalog or an earlier row."""
    faults: list[str] = []
    names = TakenNames(catalog.models)
    for number, model in enumerate(index.models, 1):
        found = [*_file_faults(model), *catalog.faults(model)]
        if taken := names.conflict(model):
            found.append(taken)
        else:
            names.add(model)
        faults += [f"{row_name(number, model.id)}: {fault}" for fault in found]
    if faults:
        raise refusal(faults)


def _file_faults(model: ModelEntry) -> Iterator[str]:
    """Yield the faults of file names, and of URLs that must not be requested."""
    paths = [file.path for file in model.files]
    yield from (f"`file` lists {path} twice" for path in _repeated(path.lower() for path in paths))
    yield from (f"`file` must not have a name that ends in {end}: {path}" for path in paths for end in _RESERVED if path.endswith(end))
    for source in model.sources:
        if isinstance(source, UrlSource) and source.public:
            for path, url in source.urls.items():
                try:
                    require_public_url(url, lookup=None)
                except NotPublic as refused:
                    yield f"`source.urls` of {path}: {refused} (`--allow-private` allows private addresses)"


def _repeated(names: Iterable[str]) -> Collection[str]:
    seen: set[str] = set()
    return sorted({name for name in names if name in seen or seen.add(name)})  # type: ignore[func-returns-value]


def _entry(row: ModelRow, *, allow_private: bool) -> ModelEntry:
    return ModelEntry(
        id=row.id,
        backend=row.backend,
        task=Task(row.task),
        licence=row.licence,
        languages=tuple(row.languages),
        description=row.description,
        voices=tuple(map(_voice, row.voice)),
        default_voice=row.default_voice or "",
        sample_rate=row.sample_rate,
        word_times=row.word_times,
        translates=row.translates,
        clones=row.clones,
        designs=row.designs,
        instructs=row.instructs,
        files=tuple(map(_file, row.file)),
        sources=tuple(_source(source, allow_private=allow_private) for source in row.source),
        aliases=tuple(row.aliases),
    )


def _voice(row: VoiceRow) -> Voice:
    return Voice(row.id, row.language, row.name, row.gender, tuple(row.speakers))


def _file(row: FileRow) -> WeightFile:
    return WeightFile(row.path, row.sha256, row.size)


def _source(row: HubRow | UrlRow | ArchiveRow, *, allow_private: bool) -> Source:
    match row:
        case HubRow():
            return HubSource(row.hub, row.revision, dict(row.paths))
        case UrlRow():
            return UrlSource(dict(row.urls), public=not allow_private)
        case ArchiveRow():
            archives = tuple(Archive(item.project, item.version, item.filename, item.sha256, item.size) for item in row.archives)
            return ArchiveSource(archives, {path: tuple(members) for path, members in row.members.items()})
