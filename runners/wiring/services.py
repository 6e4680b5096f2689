"""The BentoML services of the backends, and the dependencies of the front on them. Imported in every process of the server."""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from typing import Any

import bentoml  # noqa: TID251 - the composition of services

from open_speech.backends import BackendEntry
from runners.catalog.placement import Placement


def service_of(entry: BackendEntry) -> Any:
    """Import and return the BentoML service in a backend's module."""
    module = importlib.import_module(entry.module)
    return next(s for s in vars(module).values() if isinstance(s, bentoml.Service) and s.name == entry.service)


def dependencies(placements: Iterable[Placement]) -> dict[str, Any]:
    """Return the front service's class attributes: one BentoML dependency per backend in another process.

    Replicas are none: BentoML's dependencies are fixed when the service is built, and the addresses behind a name change.
    """
    found = {}
    for placement in placements:
        if placement.where == "process":
            found[placement.attribute] = bentoml.depends(service_of(placement.backend))
        elif placement.is_remote and not placement.is_fleet:
            found[placement.attribute] = bentoml.depends(service_of(placement.backend), url=placement.where)
    return found
