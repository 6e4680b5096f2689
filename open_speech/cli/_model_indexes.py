"""`open-speech models search`, `add`, `indexes` and `remove-index`: rows of the catalog from indexes that anyone may host."""

from __future__ import annotations

import click

from open_speech.backends import ModelEntry
from open_speech.cli import _terminal as terminal
from open_speech.config import Settings
from open_speech.languages import language_name
from open_speech.model_indexes import Catalog, JoinedModels, ModelIndexes
from open_speech.model_indexes.adding import Terms, add
from runners import catalog
from runners.catalog.placement import plan
from runners.wiring import factories as parts

OWN = "Open Speech"


def joined(settings: Settings) -> JoinedModels:
    """Return the models of the catalog and of the accepted indexes, for the backends that are installed or in the settings."""
    return parts.all_models(settings, {placement.backend.name: placement.where for placement in plan(settings)})


def origins(found: JoinedModels) -> dict[str, str]:
    """Return where the row of each model is from: model id -> a package, an index, or Open Speech."""
    packages = {entry.name: entry.package or OWN for entry in catalog.backends()}
    return {model.id: packages[model.backend] for model in found.models} | {
        model: f"index {index.name}" for index, models in found.origins for model in models
    }


@click.command()
@click.argument("words", nargs=-1, required=True)
def search(words: tuple[str, ...]) -> None:
    """List the models, of the catalog and of added indexes, that have all WORDS.

    A word may be a part of an id, a description, a backend, a task, a licence or a voice, or a language. The columns are: id, task,
    backend, languages, licence, where the row is from, description.
    """
    found = joined(terminal.settings())
    known = origins(found)
    rows = [
        (model.id, str(model.task), model.backend, " ".join(model.languages), model.licence, known[model.id], model.description)
        for model in found.models
        if matches(model, words)
    ]
    if not rows:
        raise click.ClickException(f"No model has all of these words: {' '.join(words)}")
    terminal.table(("Model", "Task", "Backend", "Languages", "Licence", "From", "Description"), rows)


def matches(model: ModelEntry, words: tuple[str, ...]) -> bool:
    """Return whether a model has each word: as a part of a text, or as the code or English name of a language. Case is ignored."""
    voices = [part for voice in model.voices for part in (voice.id, voice.name, voice.language)]
    texts = "\n".join((model.id, *model.aliases, model.description, model.backend, model.task, model.licence, *voices)).lower()
    languages = {*model.languages, *map(language_name, model.languages)}
    return all(word.lower() in texts or word.lower() in languages for word in words)


@click.command(name="add")
@click.argument("source")
@click.option("--sha256", default="", help="SHA-256 of the index, as 64 hexadecimal digits. `SOURCE#sha256=…` does the same.")
@click.option("--key", default="", help="Ed25519 public key in base64. The signature is at SOURCE with `.sig` appended.")
@click.option("--allow-private", is_flag=True, help="Allow private addresses, and http on loopback, for the index and its files.")
def add_index(source: str, sha256: str, key: str, allow_private: bool) -> None:
    """Add the model index at SOURCE (a URL or a file), or accept its new version.

    An index is accepted by its SHA-256 or by its signature. Without either, the command checks the index and prints its SHA-256.
    """
    settings = terminal.settings()
    with terminal.busy("Reading the index"):
        own = Catalog(catalog.backends(), catalog.models())
        terms = Terms(sha256, key, allow_private, settings.os_offline)
        index = add(ModelIndexes(settings.models_dir), own, source, terms)
    found = joined(settings)
    added = next((models for accepted, models in found.origins if accepted.name == index.accepted.name), ())
    for report in found.reports:
        if report.index == index.accepted.name:
            terminal.note(str(report))
    terminal.note(f"index {index.accepted.name}: {index.accepted}. A running server uses the new rows after a restart.")
    for model in added:
        click.echo(model)


@click.command()
def indexes() -> None:
    """List the added indexes: name, revision, number of models, source, SHA-256, key."""
    found = joined(terminal.settings())
    for report in found.reports:
        terminal.note(str(report))
    rows = [(one.name, str(one.revision), str(len(models)), one.source, one.sha256, one.key) for one, models in found.origins]
    terminal.table(("Index", "Revision", "Models", "Source", "SHA-256", "Key"), rows)


@click.command(name="remove-index")
@click.argument("name")
def remove_index(name: str) -> None:
    """Remove the index NAME, and with it its rows. Downloaded weights stay: `models rm` deletes them before."""
    ModelIndexes(terminal.settings().models_dir).remove(name)
    click.echo(f"{name}: removed")
