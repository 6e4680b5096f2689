"""The merge of the rows of plugins into the tables of the catalog, so that all code for the catalog also covers plugins. Pure.

A row that is invalid, or whose name is taken, is left out and reported: a package must not prevent the server from starting, and cannot
replace rows of another package.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from open_speech.backends import BackendEntry, ModelEntry
from open_speech.plugins.checks import backend_faults, model_faults
from open_speech.plugins.names import TakenNames
from open_speech.plugins.values import Joined, Offer, PluginReport, Problem


def join(backends: Sequence[BackendEntry], models: Sequence[ModelEntry], offers: Iterable[Offer | PluginReport]) -> Joined:
    """Add the rows of plugins to our own. The first row with a name keeps it: ours first, then the packages in the order given."""
    all_backends, all_models, reports = list(backends), list(models), list[PluginReport]()
    names = TakenNames(all_models)
    for offer in offers:
        if isinstance(offer, PluginReport):
            reports.append(offer)
            continue
        entry = replace(offer.plugin.backend, package=offer.package)
        problem, detail = _refused(offer, entry, all_backends)
        if problem is not None:
            reports.append(PluginReport(offer.name, offer.package, problem, detail))
            continue
        all_backends.append(entry)
        for model in offer.plugin.models:
            problem, detail = _refused_model(model, entry, names)
            if problem is None:
                all_models.append(model)
                names.add(model)
            else:
                reports.append(PluginReport(offer.name, offer.package, problem, f"the model `{model.id}`: {detail}", whole=False))
    return Joined(tuple(all_backends), tuple(all_models), tuple(reports))


def _refused(offer: Offer, entry: BackendEntry, known: Iterable[BackendEntry]) -> tuple[Problem | None, str]:
    """Return the reason why a backend is not added; None and an empty text if it is added."""
    faults = list(backend_faults(entry))
    if offer.name != entry.name:
        faults.insert(0, f"the entry point must have the name of its backend, `{entry.name}`")
    if faults:
        return Problem.INVALID, "; ".join(faults)
    for other in known:
        whose = other.package or "Open Speech"
        if other.service == entry.service:
            return Problem.BACKEND_TAKEN, f"{whose} has a backend `{other.name}`"
        if other.task is entry.task and _overlap(entry.prefix, other.prefix):
            return Problem.BACKEND_TAKEN, f"{whose} has a backend `{other.name}` for the model ids that begin with `{other.prefix}`"
    return None, ""


def _refused_model(model: ModelEntry, backend: BackendEntry, known: TakenNames) -> tuple[Problem | None, str]:
    """Return the reason why a model is not added; None and an empty text if it is added."""
    if faults := list(model_faults(model, backend)):
        return Problem.INVALID, "; ".join(faults)
    taken = known.conflict(model)
    return (Problem.MODEL_TAKEN if taken else None), taken


def _overlap(one: str, other: str) -> bool:
    """Return whether a model id can begin with both prefixes; False if one of them is empty."""
    return bool(one and other) and (one.startswith(other) or other.startswith(one))
