"""What a package with a backend hands over, and what is reported about it. Pure."""

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
    """Why something of a plugin is left out."""

    IMPORT = "import failed"
    """The module of the entry point, or of the backend class, cannot be imported."""
    INVALID = "invalid"
    """What the entry point names is not a Plugin, or a row of it is wrong."""
    BACKEND_TAKEN = "backend name taken"
    """There is another backend of this name: one of ours, or of a package before it in the alphabet."""
    MODEL_TAKEN = "model id taken"
    """There is another model of this id, or it is an alias."""


@dataclass(frozen=True, slots=True)
class PluginReport:
    """One thing of a plugin that is left out, and why."""

    name: str
    """The name of the entry point."""
    package: str
    """Name and version of the package."""
    problem: Problem
    detail: str
    """One sentence or more, without the name of the plugin."""
    whole: bool = True
    """Nothing of the plugin is used. False: one model of it is left out."""

    def __str__(self) -> str:
        """Write the report as one line."""
        return f"plugin {self.name} of {self.package}: {self.problem}: {self.detail}"


@dataclass(frozen=True, slots=True)
class Offer:
    """What one entry point gave: a plugin."""

    name: str
    package: str
    plugin: Plugin


@dataclass(frozen=True, slots=True)
class Joined:
    """The tables of the catalog with the rows of plugins, and what was left out."""

    backends: tuple[BackendEntry, ...]
    models: tuple[ModelEntry, ...]
    reports: tuple[PluginReport, ...] = ()
