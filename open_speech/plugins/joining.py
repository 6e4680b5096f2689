"""The rows of plugins join the tables of the catalog, so everything that works on the catalog works on them. Pure.

A row that is wrong, or whose name is taken, is left out with a report: one package must not keep the server from starting, and cannot
replace what another one brings.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from open_speech.backends import BackendEntry, ModelEntry
from open_speech.plugins.checks import backend_faults, model_faults
from open_speech.plugins.values import Joined, Offer, PluginReport, Problem
from open_speech.registry import OPENAI_STT, OPENAI_TTS


def join(backends: Sequence[BackendEntry], models: Sequence[ModelEntry], offers: Iterable[Offer | PluginReport]) -> Joined:
    """Add the rows of plugins to our own. A name that is taken stays with who had it: ours first, then the packages in the order given."""
    all_backends, all_models, reports = list(backends), list(models), list[PluginReport]()
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
            problem, detail = _refused_model(model, entry, all_models)
            if problem is None:
                all_models.append(model)
            else:
                reports.append(PluginReport(offer.name, offer.package, problem, f"the model `{model.id}`: {detail}", whole=False))
    return Joined(tuple(all_backends), tuple(all_models), tuple(reports))


def _refused(offer: Offer, entry: BackendEntry, known: Iterable[BackendEntry]) -> tuple[Problem | None, str]:
    """Return why a backend is not added."""
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


def _refused_model(model: ModelEntry, backend: BackendEntry, known: Iterable[ModelEntry]) -> tuple[Problem | None, str]:
    """Return why a model is not added."""
    if faults := list(model_faults(model, backend)):
        return Problem.INVALID, "; ".join(faults)
    names = set(_names(model))
    for other in known:
        if taken := names & set(_names(other)):
            what = "the id" if min(taken) == other.id.lower() else f"another name of `{other.id}`,"
            return Problem.MODEL_TAKEN, f"`{min(taken)}` is {what} of a model of the backend `{other.backend}`"
        for one, another in ((model.id, other.id), (other.id, model.id)):
            if one.startswith(f"{another}/"):
                return Problem.MODEL_TAKEN, f"the folder of `{one}` would be in that of `{another}` of the backend `{other.backend}`"
    if aliases := names & {*OPENAI_STT, *OPENAI_TTS}:
        return Problem.MODEL_TAKEN, f"`{min(aliases)}` is a name of OpenAI, which stands for the default model"
    return None, ""


def _names(model: ModelEntry) -> Iterator[str]:
    """Yield every name that a model or one of its parts is found by, in lower case."""
    for entry in (model, *model.parts):
        yield entry.id.lower()
        yield from (alias.lower() for alias in entry.aliases)


def _overlap(one: str, other: str) -> bool:
    """Tell whether a model id can begin with both prefixes; an empty one is none."""
    return bool(one and other) and (one.startswith(other) or other.startswith(one))
