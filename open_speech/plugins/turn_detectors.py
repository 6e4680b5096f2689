"""Turn detectors of other packages: entry points of the group `open_speech.turn_detectors`, each a class or a function without arguments.

An entry point is imported only if OS_TURN_DETECTOR names it.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable
from typing import Any, TypeVar

from open_speech.plugins.loading import import_error, package_of
from open_speech.plugins.values import PluginReport, Problem

T = TypeVar("T")
Open = Callable[[], T]

TURN_GROUP = "open_speech.turn_detectors"
"""The group of the entry points."""


def names() -> list[str]:
    """List the turn detectors of installed packages."""
    return sorted({point.name for point in importlib.metadata.entry_points(group=TURN_GROUP)})


def find(name: str) -> Open[Any] | PluginReport | None:
    """Import a turn detector by its name; return the function that opens it, or why it cannot be used. None: no package has it.

    Of several packages, the first one in alphabetical order has the name.
    """
    points = sorted(importlib.metadata.entry_points(group=TURN_GROUP, name=name), key=package_of)
    if not points:
        return None
    point = points[0]
    try:
        found = point.load()
    except (Exception, SystemExit) as error:  # noqa: BLE001 - the code of another package
        return PluginReport(name, package_of(point), Problem.IMPORT, import_error(point.value, error))
    if not callable(found):
        return PluginReport(name, package_of(point), Problem.INVALID, f"`{point.value}` is not a class or function")
    return _checked(found, point.value)


def _checked(open: Open[Any], target: str) -> Open[Any]:
    def opened() -> Any:
        detector = open()
        if not callable(getattr(detector, "is_complete", None)):
            raise TypeError(f"what `{target}` returns has no method `is_complete`")
        return detector

    return opened
