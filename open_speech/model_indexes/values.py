"""The values of model indexes: an index, its acceptance by the operator, and the reports of rows that are left out. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from open_speech.backends import ModelEntry
from open_speech.errors import InvalidRequest

MAX_BYTES = 1 << 20
"""Maximum size of an index in bytes."""


class IndexRefused(InvalidRequest):
    """A model index cannot be read, is invalid, or does not have the accepted content."""

    code = "model_index_refused"


@dataclass(frozen=True, slots=True)
class ModelIndex:
    """The content of one index."""

    name: str
    revision: int
    """Number of the version, from 1; a later version has a higher number."""
    models: tuple[ModelEntry, ...]
    description: str = ""
    homepage: str = ""


@dataclass(frozen=True, slots=True)
class AcceptedIndex:
    """An index that the operator has accepted, and how."""

    name: str
    source: str
    """Its URL, or the absolute path of its file."""
    sha256: str
    """SHA-256 of the accepted content, in lower-case hexadecimal digits."""
    revision: int
    key: str = ""
    """Ed25519 public key whose signature also accepts later versions, in base64; empty: each version is accepted by its SHA-256."""
    allow_private: bool = False
    """Whether the index and the files of its rows may be on private addresses."""

    def __str__(self) -> str:
        """Return the source and the pin as one line."""
        signed = f", signed by {self.key}" if self.key else ""
        return f"{self.source}, revision {self.revision}, SHA-256 {self.sha256}{signed}"


@dataclass(frozen=True, slots=True)
class StoredIndex:
    """An accepted index with its content."""

    accepted: AcceptedIndex
    content: ModelIndex


@dataclass(frozen=True, slots=True)
class IndexReport:
    """A row of an accepted index that is left out of the catalog, or a whole index, and the reason."""

    index: str
    model: str
    """The id in the row; empty for a whole index."""
    detail: str

    def __str__(self) -> str:
        """Return the report as one line."""
        return f"model index {self.index}: {f'the model `{self.model}`: ' if self.model else ''}{self.detail}"


@dataclass(frozen=True, slots=True)
class JoinedModels:
    """The models of the catalog with the rows of the accepted indexes after them."""

    models: tuple[ModelEntry, ...]
    origins: tuple[tuple[AcceptedIndex, tuple[str, ...]], ...] = ()
    """Each accepted index, and the ids of its rows that were added."""
    reports: tuple[IndexReport, ...] = ()
