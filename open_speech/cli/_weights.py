"""Weights for the command line: which models a server needs, and pulling them with a progress bar."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from open_speech import weights
from open_speech.backends import ModelEntry, Task
from open_speech.cli._terminal import megabytes, note
from open_speech.config import Settings, SettingsError
from open_speech.config.language_model import DEFAULT_MODEL as DEFAULT
from open_speech.config.live import AUTO_DETECTOR as AUTO
from open_speech.config.live import SMART_TURN
from open_speech.errors import UnknownModel
from open_speech.hub_names import local_id
from open_speech.registry import Registry
from runners import catalog
from runners.catalog.placement import Placement, plan
from runners.wiring import runner_parts as parts


def whole_catalog(settings: Settings) -> Registry:
    """Return the catalog with every backend, installed or not, because weights may be pulled for a machine that has it."""
    return parts.registry(settings, {entry.name: "" for entry in catalog.backends()})


def find(registry: Registry, name: str) -> ModelEntry:
    """Return a model of the catalog, or the turn detector, which no request can name. Raises UnknownModel."""
    return detector if name == (detector := catalog.turn_detector()).id else registry.find(name)


def needed(settings: Settings) -> list[ModelEntry]:
    """List the models whose weights the server should have at start: the defaults, those to preload, and one for every other backend.

    A language model is among them only if LLM_MODEL names one that can be downloaded. Models of backends on other machines are left out.
    The turn detector is the last of them, unless OS_TURN_DETECTOR names another one.
    Raises SettingsError when a setting names a model that does not exist.
    """
    registry = whole_catalog(settings)
    local = [placement for placement in plan(settings) if not placement.is_remote]
    chosen = {entry.id: entry for entry in _named(settings, registry, local)}
    for placement in local:
        is_optional = placement.backend.task is Task.LLM  # large, and only needed for conversations: one is pulled if it is named
        if not is_optional and not any(entry.backend == placement.backend.name for entry in chosen.values()):
            first = next((m for m in registry.all_models() if m.backend == placement.backend.name), None)
            if first is not None:
                chosen[first.id] = first
    turns = [catalog.turn_detector()] if settings.os_turn_detector in (AUTO, SMART_TURN) else []
    return [*chosen.values(), *turns]


def _named(settings: Settings, registry: Registry, local: list[Placement]) -> Iterator[ModelEntry]:
    backends = {placement.backend.name for placement in local}
    named = [("STT_MODEL", registry.defaults.stt_model), ("TTS_MODEL", registry.defaults.tts_model)]
    named += [("STT_PRELOAD_MODELS", model) for model in settings.stt_preload_models]
    named += [("TTS_PRELOAD_MODELS", model) for model in settings.tts_preload_models]
    if not settings.llm_base_url and settings.llm_model != DEFAULT and not local_id(settings.llm_model):
        named.append(("LLM_MODEL", settings.llm_model))
    for variable, name in named:
        try:
            entry = registry.find(name)
        except UnknownModel as unknown:
            raise SettingsError(f"{variable}: {unknown.message}") from unknown
        if entry.backend in backends:
            yield entry


def pull(store: weights.Store, models: list[ModelEntry]) -> None:
    """Download the missing models one after the other, and show their progress.

    Raises WeightsUnavailable, WeightsCorrupt or UnknownModel.
    """
    for model in models:
        if store.is_complete(model):
            continue
        with _shown(model) as on_progress:
            store.pull(model, on_progress)


@contextmanager
def _shown(model: ModelEntry) -> Iterator[weights.OnProgress]:
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _lines(model)
        note(f"{model.id}: ready")
        return
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as bars:
        yield _bar(model, bars)


def _bar(model: ModelEntry, bars: Progress) -> weights.OnProgress:
    """Create a progress bar that restarts at every step of a pull: checking, downloading from each source, unpacking."""
    task = bars.add_task(model.id, total=None)
    current: tuple[str, str] | None = None

    def show(progress: weights.Progress) -> None:
        nonlocal current
        if current != (progress.state, progress.source):
            current = (progress.state, progress.source)
            bars.reset(task, description=f"{model.id} · {_step(progress)}")
        bars.update(task, completed=progress.done_bytes, total=progress.total_bytes)

    return show


def _step(progress: weights.Progress) -> str:
    return f"{progress.state}, {progress.source}" if progress.source else progress.state


def _lines(model: ModelEntry) -> weights.OnProgress:
    """Return a callback that prints one line per step of a pull, which is enough for a log file."""
    reported: set[tuple[str, str]] = set()

    def show(progress: weights.Progress) -> None:
        step = (progress.state, progress.source)
        if progress.state != "done" and step not in reported:
            reported.add(step)
            size = megabytes(progress.total_bytes)
            note(f"{model.id}: {_step(progress)}" + (f", {size}" if size else ""))

    return show
