"""`open-speech migrate`: settings of another server -> settings of this one."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path
from typing import IO

import click

from open_speech import config
from open_speech.cli import WrongUse
from open_speech.cli import _migrate_compose as compose
from open_speech.cli import _migrate_env as env
from open_speech.cli import _terminal as terminal
from open_speech.cli._migrate_settings import Line, canonical, check, converted, wyoming_warning
from open_speech.cli._migrate_yaml import Document
from open_speech.config.old_names import LABELS, System, systems_of

LARGEST = 1 << 20
"""Bytes of a file of settings."""
LISTENED = {
    System.OPEN_SPEECH: "0.0.0.0:8100 (HTTPS)", System.WYOMING_OPENAI: "0.0.0.0:10300 (Wyoming)",
    System.VOICE_STACK: "0.0.0.0:5001 and 0.0.0.0:5002", System.GEMMAVOICE: "0.0.0.0:6666", System.SPEACHES: "0.0.0.0:8000",
    System.KOKORO_FASTAPI: "0.0.0.0:8880", System.WHISPER_ASR: "0.0.0.0:9000",
}  # fmt: skip


@click.command(name="migrate")
@click.argument("file", type=click.File("rb"))
@click.option("--from", "system", type=click.Choice([system.value for system in System]), help="The server. Default: detect it.")
@click.option("--output", "-o", type=click.Path(dir_okay=False, path_type=Path), help="File to write. Default: standard output.")
@click.option("--force", is_flag=True, help="Overwrite the output file.")
def command(file: IO[bytes], system: str | None, output: Path | None, force: bool) -> None:
    """Convert the settings of another speech server: a compose file or a file of environment variables (.env).

    Lines without a counterpart become comments that give the reason.
    """
    name = Path(getattr(file, "name", "<stdin>")).name
    chosen = System(system) if system else None
    text = _text(file, name)
    if output is not None and output.exists() and not force:
        raise WrongUse(f"{output} exists. Use --force to overwrite it.")
    try:
        result, lines, found = _compose(text, name, chosen) if _is_compose(text, name) else _env(text, name, chosen)
        check(lines)
    except env.UnreadableFile as problem:
        raise click.ClickException(f"{name}: {problem}.") from None
    except config.SettingsError as problem:
        raise click.ClickException(f"{name}: the server would not start with the result. {problem}") from None
    _write(result, output)
    lost = dict.fromkeys(line.lost for line in lines if line.lost)
    terminal.note(f"{name}: settings of {', '.join(LABELS[each] for each in System if each in found)}.")
    if lost:
        terminal.note(f"See the comments on {', '.join(lost)}.")


def _text(file: IO[bytes], name: str) -> str:
    data = file.read(LARGEST + 1)
    if len(data) > LARGEST:
        raise click.ClickException(f"{name} is larger than {LARGEST >> 20} MiB.")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise click.ClickException(f"{name} is not a text file in UTF-8.") from None
    if "\0" in text:
        raise click.ClickException(f"{name} is not a text file.")
    return text


def _is_compose(text: str, name: str) -> bool:
    return name.endswith((".yml", ".yaml")) or any(line.rstrip() == "services:" for line in text.splitlines())


def _compose(text: str, name: str, chosen: System | None) -> tuple[str, list[Line], Collection[System]]:
    document = Document(text)
    services = compose.replaced_services(document, chosen)
    found = {system for service in services for system in service.systems}
    header = f"Written by `open-speech migrate` from {name}. `make image` builds the image: docs/deploy.md."
    result = compose.convert(document, services, header)
    return result.text, result.lines, found


def _env(text: str, name: str, chosen: System | None) -> tuple[str, list[Line], Collection[System]]:
    variables = env.read(text)
    names = [canonical(variable.name) for variable in variables if variable.name]
    if not names:
        raise env.UnreadableFile("found no variable (NAME=value)")
    found = {chosen} if chosen else set(systems_of(each for each in names if each not in config.names()))
    if not found and any(each in config.names() for each in names):
        found = {System.OPEN_SPEECH}
    if not found:
        raise env.UnreadableFile("found no setting of a server that is known; `--from` names the server")
    listened = " and ".join(f"{LABELS[system]} listened on {LISTENED[system]}" for system in System if system in found)
    header = [
        f"Written by `open-speech migrate` from {name}.",
        f"{listened}. This server listens on 127.0.0.1:8100 unless OS_HOST and OS_PORT are set.",
    ]
    lines = converted(variables, found)
    lines += wyoming_warning(lines)
    return env.written([*(Line(comment=line) for line in header), *lines]), lines, found


def _write(result: str, output: Path | None) -> None:
    """Write the result; a file only for its owner, because it may contain keys."""
    if output is None:
        click.echo(result, nl=False)
        return
    try:
        with os.fdopen(os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as stream:
            stream.write(result)
    except OSError as error:
        raise click.ClickException(f"Cannot write {output}: {error.strerror}.") from None
