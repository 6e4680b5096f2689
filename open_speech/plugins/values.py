"""The values that a package with a backend provides, and the reports about it. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from open_speech.backends import BackendEntry, ModelEntry

GROUP = "open_speech.backends"
"""The group of the entry points."""


@dataclass(frozen=True, slots=True)
class Plugin:
    """One backend of another package and its models; the name of the entry point is the name of the backend."""

    backend: BackendEntry
    models: tuple[ModelEntry, ...]


class Problem(StrEnum):
    """The reason why a plugin, or one of its models, is left out."""

    IMPORT = "import failed"
    """The module of the entry point, or of the backend class, cannot be imported."""
    INVALID = "invalid"
    """The entry point does not refer to a Plugin, or one of its rows is invalid."""
    BACKEND_TAKEN = "backend name taken"
    """Another backend has this name: one of ours, or of a package that precedes this one alphabetically."""
    MODEL_TAKEN = "model id taken"
    """Another model has this id or alias, or the name is one of OpenAI's."""


@dataclass(frozen=True, slots=True)
class PluginReport:
    """A plugin, or one of its models, that is left out, and the reason."""

    name: str
    """The name of the entry point."""
    package: str
    """Name and version of the package."""
    problem: Problem
    detail: str
    """One sentence or more, without the name of the plugin."""
    whole: bool = True
    """Whether the whole plugin is left out. False: only one of its models is."""

    def __str__(self) -> str:
        """Return the report as one line."""
        return f"plugin {self.name} of {self.package}: {self.problem}: {self.detail}"


@dataclass(frozen=True, slots=True)
class Offer:
    """A plugin, and the entry point that provided it."""

    name: str
    package: str
    plugin: Plugin


@dataclass(frozen=True, slots=True)
class Joined:
    """The tables of the catalog with the rows of plugins, and the reports of rows that were left out."""

    backends: tuple[BackendEntry, ...]
    models: tuple[ModelEntry, ...]
    reports: tuple[PluginReport, ...] = ()
