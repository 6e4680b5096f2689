"""Weights for the command line: which models a server needs, and pulling them with a progress bar."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from open_speech import weights
from open_speech.backends import ModelEntry
from open_speech.cli._terminal import megabytes, note
from open_speech.config import Settings, SettingsError
from open_speech.errors import UnknownModel
from open_speech.registry import Registry
from runners import catalog
from runners.catalog.placement import Placement, plan
from runners.wiring import factories as parts


def whole_catalog(settings: Settings) -> Registry:
    """Open the catalog with every backend in it, installed or not: weights may be pulled for a machine that has it."""
    return parts.registry(settings, {entry.name: "" for entry in catalog.backends()})


def needed(settings: Settings) -> list[ModelEntry]:
    """List the models whose weights the server should have at hand: the defaults, those to preload, and one for every other backend.

    Models of backends on other machines are left out. Raises SettingsError when a setting names a model that does not exist.
    """
    registry = whole_catalog(settings)
    here = [placement for placement in plan(settings) if not placement.where.startswith("http")]
    chosen = {entry.id: entry for entry in _named(settings, registry, here)}
    for placement in here:
        if not any(entry.backend == placement.backend.name for entry in chosen.values()):
            first = next((m for m in registry.all_models() if m.backend == placement.backend.name), None)
            if first is not None:
                chosen[first.id] = first
    return list(chosen.values())


def _named(settings: Settings, registry: Registry, here: list[Placement]) -> Iterator[ModelEntry]:
    backends = {placement.backend.name for placement in here}
    named = [("STT_MODEL", registry.defaults.stt_model), ("TTS_MODEL", registry.defaults.tts_model)]
    named += [("STT_PRELOAD_MODELS", model) for model in settings.stt_preload_models]
    named += [("TTS_PRELOAD_MODELS", model) for model in settings.tts_preload_models]
    for variable, name in named:
        try:
            entry = registry.find(name)
        except UnknownModel as unknown:
            raise SettingsError(f"{variable}: {unknown.message}") from unknown
        if entry.backend in backends:
            yield entry


def pull(store: weights.Store, models: list[ModelEntry]) -> None:
    """Bring the models that are not here yet, one after the other, and show how far each is.

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
    """Make one bar, which starts again at every step of a pull: checking, downloading from one source or the next, unpacking."""
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
    """Write one line per step of a pull: a log file wants no more."""
    told: set[tuple[str, str]] = set()

    def show(progress: weights.Progress) -> None:
        step = (progress.state, progress.source)
        if progress.state != "done" and step not in told:
            told.add(step)
            size = megabytes(progress.total_bytes)
            note(f"{model.id}: {_step(progress)}" + (f", {size}" if size else ""))

    return show
