"""Validation of catalog rows: of a plugin's backend, and of any model. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import urlsplit

from open_speech.backends import BackendEntry, ModelEntry, Task
from open_speech.config import Settings
from open_speech.config import names as setting_names
from open_speech.config.old_names.values import PREFIXES
from open_speech.model_files import ArchiveSource, HubSource, Source, UrlSource
from open_speech.security.network import is_loopback

RESERVED = frozenset({"open_speech", "wyoming_door"})
"""Service names of the server's other processes."""

_NAME = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
_MODEL_ID = re.compile(r"[A-Za-z0-9][\w.-]*(?:/[A-Za-z0-9][\w.-]*)*", re.ASCII)
_TARGET = re.compile(r"\w+(?:\.\w+)*:\w+")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_MD5 = re.compile(r"[0-9a-f]{32}")


def backend_faults(entry: BackendEntry) -> Iterator[str]:
    """Yield the faults of the entry of a backend from another package."""
    if not _NAME.fullmatch(entry.name) or entry.service in RESERVED:
        yield f"`{entry.name}` is not a valid name: use lower-case letters, digits and single hyphens"
    if entry.task not in (Task.STT, Task.TTS, Task.DIARIZE, Task.LLM):
        yield f"a backend cannot do the task `{entry.task}`"
    if not _TARGET.fullmatch(entry.target):
        yield f"`target` must be `module:Class`, not `{entry.target}`"
    if entry.offers and not _TARGET.fullmatch(entry.offers):
        yield f"`offers` must be `module:function`, not `{entry.offers}`"
    if entry.extra:
        yield "`extra` names an extra of Open Speech: use `install` for the command that installs what it needs"
    if not entry.licence:
        yield "`licence` is missing"
    if unknown := set(entry.settings) - Settings.model_fields.keys():
        yield f"`settings` names no settings of Open Speech: {', '.join(sorted(unknown))}; use `variables` for variables of your own"
    if ours := [name for name in entry.variables if name.startswith(PREFIXES) or name in setting_names()]:
        yield f"`variables` may not begin with {', '.join(PREFIXES)}: {', '.join(ours)}"
    if not entry.speed_range[0] <= 1.0 <= entry.speed_range[1]:
        yield f"`speed_range` must contain 1.0: {entry.speed_range}"


def model_faults(model: ModelEntry, backend: BackendEntry) -> Iterator[str]:
    """Yield the faults of the row of a model, ours or from another package."""
    if not _MODEL_ID.fullmatch(model.id):
        yield "an id has letters, digits and `._-`, in parts separated by `/`"
    if (model.backend, model.task) != (backend.name, backend.task):
        yield f"it must have the backend `{backend.name}` and the task `{backend.task}`"
    yield from (f"`{name}` is missing" for name in ("licence", "languages", "description") if not getattr(model, name))
    if backend.task is Task.TTS:
        yield from _voice_faults(model)
    elif model.sample_rate is not None or model.voices:
        yield "only a model that speaks has a `sample_rate` and voices"
    for part in model.whole:
        yield from _file_faults(part)


def _voice_faults(model: ModelEntry) -> Iterator[str]:
    if not model.sample_rate:
        yield "`sample_rate` is missing"
    if model.default_voice not in {voice.id for voice in model.voices}:
        yield f"`default_voice` must be one of its voices, not `{model.default_voice}`"
    if unknown := {voice.language.partition("-")[0] for voice in model.voices} - set(model.languages):
        yield f"`languages` lacks languages of its voices: {', '.join(sorted(unknown))}"


def _file_faults(part: ModelEntry) -> Iterator[str]:
    """Yield the faults of the files and sources of a model, or of one part of it."""
    paths = {file.path for file in part.files}
    archives = [archive for source in part.sources if isinstance(source, ArchiveSource) for archive in source.archives]
    hashes = [file.sha256 for file in part.files] + [archive.sha256 for archive in archives]
    yield from (f"`{digest}` is not a SHA-256" for digest in hashes if digest is not None and not _SHA256.fullmatch(digest))
    yield from (f"`{file.md5}` is not an MD5 digest" for file in part.files if file.md5 is not None and not _MD5.fullmatch(file.md5))
    covered: set[str] = set()
    for source in part.sources:
        named = _paths(source, paths)
        covered |= named
        if named - paths:
            yield f"a source has files that the model does not list: {', '.join(sorted(named - paths))}"
        if isinstance(source, UrlSource) and not all(map(_is_secure, source.urls.values())):
            yield "a URL must begin with https:// (http:// only on loopback)"
        if isinstance(source, ArchiveSource):
            used = {index for pieces in source.members.values() for index, _ in pieces}
            if used != set(range(len(source.archives))):
                yield "`members` must use each archive, by its number from 0 on"
    if (missing := paths - covered) and not part.by_hand:
        yield f"no source has the files {', '.join(sorted(missing))}"


def _is_secure(url: str) -> bool:
    """Return whether nobody on the network can read or change what a URL returns."""
    parts = urlsplit(url)
    return parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.hostname or ""))


def _paths(source: Source, paths: set[str]) -> set[str]:
    """Return the paths of the files that a source provides, for a model with the files `paths`."""
    match source:
        case HubSource(paths=mapped):
            return paths | set(mapped)
        case UrlSource(urls=urls):
            return set(urls)
        case ArchiveSource(members=members):
            return set(members)
