"""The merge of the rows of accepted indexes into the models of the catalog, which no index can replace. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from open_speech.backends import BackendEntry, ModelEntry
from open_speech.model_indexes.rows import Catalog
from open_speech.model_indexes.values import IndexReport, JoinedModels, StoredIndex
from open_speech.plugins.names import TakenNames


def with_indexes(
    stored: Iterable[StoredIndex], backends: Sequence[BackendEntry], models: Sequence[ModelEntry], usable: Collection[str]
) -> JoinedModels:
    """Add the rows of accepted indexes, in the order given, after the models of the catalog.

    A row is left out, with a report, if its backend is not one of `usable`, or if a version of Open Speech, a plugin or an earlier index
    has taken one of its names since the index was added.
    """
    catalog = Catalog(backends, models)
    names = TakenNames(models)
    joined, origins, reports = list(models), [], []
    for index in stored:
        added = []
        for model in index.content.models:
            detail = "; ".join(catalog.faults(model)) or names.conflict(model) or _not_installed(model, catalog, usable)
            if detail:
                reports.append(IndexReport(index.accepted.name, model.id, detail))
                continue
            joined.append(model)
            names.add(model)
            added.append(model.id)
        origins.append((index.accepted, tuple(added)))
    return JoinedModels(tuple(joined), tuple(origins), tuple(reports))


def _not_installed(model: ModelEntry, catalog: Catalog, usable: Collection[str]) -> str:
    if model.backend in usable:
        return ""
    return f"its backend `{model.backend}` is not installed: {catalog.backends[model.backend].remedy}"
