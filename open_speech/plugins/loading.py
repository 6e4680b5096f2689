"""The import of installed backends of other packages, by their entry points. Importing another package may fail in any way.

Two modules of a package are imported at different times. The module of the entry point, which has the rows, is imported in every process.
The module of the backend class is imported in the process that runs the backend, as for our own runners.
"""

from __future__ import annotations

import importlib
import importlib.metadata
from collections.abc import Iterable
from functools import cache
from types import ModuleType

from open_speech.backends import BackendEntry
from open_speech.plugins.values import GROUP, Offer, Plugin, PluginReport, Problem

_unusable: dict[str, PluginReport] = {}


def loaded(found: Iterable[importlib.metadata.EntryPoint] | None = None) -> list[Offer | PluginReport]:
    """Import the entry points of the group, of this environment by default, in the order of package and name."""
    points = importlib.metadata.entry_points(group=GROUP) if found is None else found
    return [_load(point) for point in sorted(points, key=lambda point: (package_of(point), point.name))]


def package_of(point: importlib.metadata.EntryPoint) -> str:
    """Return the name and version of the package that an entry point belongs to."""
    return f"{point.dist.name} {point.dist.version}" if point.dist is not None else point.value.partition(".")[0]


def usable(entry: BackendEntry) -> bool:
    """Return whether the class and the runner of a backend can be imported; the failure of a plugin is stored as a report.

    Our own backends are not imported for this check.
    """
    if not entry.package:
        return True
    detail = target_fault(entry.target, entry.name) or (offers_fault(entry.offers) if entry.offers else "")
    if detail:
        _unusable[entry.name] = PluginReport(entry.name, entry.package, Problem.IMPORT, detail)
    return not detail


def unusable() -> tuple[PluginReport, ...]:
    """List the plugins for which `usable` was False."""
    return tuple(_unusable.values())


@cache
def target_fault(target: str, backend: str) -> str:
    """Import the module of a backend's class, and return its fault in one sentence, or an empty text."""
    module, _, name = target.partition(":")
    imported = _imported(module)
    if isinstance(imported, str):
        return imported
    found = getattr(imported, name, None)
    if not isinstance(found, type) or found.__module__ != module:
        return f"`{module}` does not define a class `{name}`"
    # BentoML finds a service by a name in the module of its class. BentoML is not imported here to compare types.
    service = backend.replace("-", "_")
    if not any(getattr(value, "name", None) == service and hasattr(value, "apis") for value in vars(imported).values()):
        return f"`{module}` has no runner of the name `{backend}`: end it with `Runner = tts_service(...)` or the function for its task"
    return ""


@cache
def offers_fault(offers: str) -> str:
    """Import the module of the function that lists an external server's models, and return its fault in one sentence, or an empty text."""
    module, _, name = offers.partition(":")
    imported = _imported(module)
    if isinstance(imported, str):
        return imported
    return "" if callable(getattr(imported, name, None)) else f"`{module}` does not define a function `{name}`"


def _imported(module: str) -> ModuleType | str:
    """Import and return a module, or return the reason why the import failed."""
    try:
        return importlib.import_module(module)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - the code of another package; a server that stopped here would never start
        return import_error(module, error)


def _load(point: importlib.metadata.EntryPoint) -> Offer | PluginReport:
    package = package_of(point)
    try:
        plugin = point.load()
    except (Exception, SystemExit) as error:  # noqa: BLE001 - as in `_imported`
        return PluginReport(point.name, package, Problem.IMPORT, import_error(point.value, error))
    if not isinstance(plugin, Plugin):
        return PluginReport(point.name, package, Problem.INVALID, f"`{point.value}` is not an open_speech.plugins.Plugin")
    return Offer(point.name, package, plugin)


def import_error(target: str, error: BaseException) -> str:
    """Describe the failed import of a module, or of an object in it, in one line."""
    told = " ".join(f"{type(error).__name__}: {error}".split())
    return f"`{target}` cannot be imported: {told}"
