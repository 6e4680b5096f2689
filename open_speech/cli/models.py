"""`open-speech models`: the catalog and the downloaded weights."""

from __future__ import annotations

import click

from open_speech.backends import ModelEntry
from open_speech.cli import _model_indexes as model_indexes
from open_speech.cli import _terminal as terminal
from open_speech.cli import _weights as weights
from open_speech.errors import SpeechError, UnknownModel
from open_speech.registry import Registry
from open_speech.weights import Store
from runners import catalog
from runners.wiring import factories as parts


@click.group(name="models")
def command() -> None:
    """List, search, pull, show and remove models, and add indexes of models."""


for _command in (model_indexes.search, model_indexes.add_index, model_indexes.indexes, model_indexes.remove_index):
    command.add_command(_command)


@command.command(name="list")
@click.option("--here", is_flag=True, help="List only models whose weights are downloaded.")
def list_models(here: bool) -> None:
    """List the models of the catalog: id, task, backend, size, whether the weights are downloaded, licence."""
    settings = terminal.settings()
    store = parts.store(settings)
    registry = weights.whole_catalog(settings)
    listed = {model.id: model for model in (*registry.all_models(), catalog.turn_detector())}
    # A hub repository that was pulled is not in the catalog.
    sizes = {model.id: model.size_bytes for model in store.installed()}
    listed |= {name: model for name in sizes if name not in listed and (model := _found(registry, name))}
    rows = []
    for model in listed.values():
        size = terminal.megabytes(sizes.get(model.id, model.size_bytes))
        if not here or model.id in sizes:
            rows.append((model.id, str(model.task), model.backend, size, _state(store, model), model.licence))
    # What is on disk and no longer known: the file of the speech detector, a model of a removed package or index.
    rows += [(name, "-", "-", terminal.megabytes(size), "downloaded", "-") for name, size in sizes.items() if name not in listed]
    terminal.table(("Model", "Task", "Backend", "Size", "Weights", "Licence"), rows)


@command.command()
@click.argument("models", nargs=-1)
def pull(models: tuple[str, ...]) -> None:
    """Download the weights of MODELS, or of every model that the current settings need.

    A model is an id of the catalog, one of OpenAI's names, or a repository on the hub (owner/name).
    """
    settings = terminal.settings()
    registry = weights.whole_catalog(settings)
    wanted = [part for name in models for part in weights.find(registry, name).whole] if models else weights.needed(settings)
    store = parts.store(settings)
    weights.pull(store, wanted)
    for model in wanted:
        click.echo(f"{model.id}\t{store.folder(model)}")


@command.command()
@click.argument("models", nargs=-1, required=True)
def rm(models: tuple[str, ...]) -> None:
    """Delete the weights of MODELS."""
    settings = terminal.settings()
    registry = weights.whole_catalog(settings)
    store = parts.store(settings)
    for model in [weights.find(registry, name) for name in models]:
        freed = sum(store.remove(part) for part in model.whole)
        if not freed:
            raise UnknownModel(f"The weights of `{model.id}` are not downloaded.", param="model")
        click.echo(f"{model.id}: {terminal.megabytes(freed)} freed")


@command.command()
@click.argument("model")
def show(model: str) -> None:
    """Show the details of one MODEL."""
    settings = terminal.settings()
    entry = weights.find(weights.whole_catalog(settings), model)
    store = parts.store(settings)
    rows = [
        ("id", entry.id),
        ("task", str(entry.task)),
        ("description", entry.description),
        ("backend", entry.backend),
        ("backend installed", _yes_no(any(b.name == entry.backend and catalog.installed(b) for b in catalog.backends()))),
        ("from", model_indexes.origins(model_indexes.joined(settings)).get(entry.id, "")),
        ("licence", entry.licence),
        ("languages", " ".join(entry.languages)),
        ("voices", " ".join(voice.id for voice in entry.voices)),
        ("default voice", entry.default_voice),
        ("sample rate", f"{entry.sample_rate} Hz" if entry.sample_rate else ""),
        ("size", terminal.megabytes(entry.size_bytes)),
        ("weights", _state(store, entry)),
        ("folder", str(store.folder(entry)) if entry.sources else ""),
        ("in parts", " ".join(part.id for part in entry.parts)),
    ]
    terminal.table(("", ""), [(name, value) for name, value in rows if value])


def _found(registry: Registry, name: str) -> ModelEntry | None:
    try:
        return registry.find(name)
    except SpeechError:
        return None


def _state(store: Store, model: ModelEntry) -> str:
    if not any(part.sources for part in model.whole):
        return "none needed"
    return "downloaded" if all(store.is_complete(part) for part in model.whole) else "not downloaded"


def _yes_no(value: bool) -> str:
    return "yes" if value else "no"
