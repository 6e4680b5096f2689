"""`open-speech doctor`: what this machine has, what it lacks, and whether the server could start."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

import click
from huggingface_hub import constants

from open_speech import __version__
from open_speech.backends import BackendEntry
from open_speech.cli import _terminal as terminal
from open_speech.cli import _weights as weights
from open_speech.cli.serve import address_trouble
from open_speech.config import Settings, SettingsError
from open_speech.errors import SpeechError
from open_speech.plugins import loading
from open_speech.weights.pip_config import pip_config
from open_speech.weights.reach import Reach, SourceFailed
from runners import catalog
from runners.catalog.placement import Placement, left_out, plan
from runners.host.device import has_cuda
from runners.wiring import factories as parts


class State(Enum):
    """What a finding means; its value is how it is written."""

    OK = "ok"
    WORSE = "warning"
    BAD = "FAILED"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at. With a BAD one the server cannot start."""

    what: str
    state: State
    detail: str


@click.command(name="doctor")
def command() -> None:
    """Check what is installed, what is missing, and whether the server can start (exit code 1 when not)."""
    colours = {State.OK: "green", State.WORSE: "yellow", State.BAD: "red"}
    with terminal.busy("Checking"):
        findings = list(examine())
    terminal.table(("", "", ""), [(f.state.value, f.what, f.detail) for f in findings], [colours[f.state] for f in findings])
    if any(f.state is State.BAD for f in findings):
        raise click.exceptions.Exit(1)


def examine() -> Iterator[Finding]:
    """Look at everything that a server by the current settings needs."""
    yield Finding("version", State.OK, f"open-speech {__version__}, bentoml {importlib.metadata.version('bentoml')}")
    yield Finding("python", State.OK, f"{platform.python_version()} on {platform.system()} {platform.machine()}")
    try:
        settings = terminal.settings()
        placements = plan(settings)
        missing = left_out(settings)
        parts.presets(settings)
        yield Finding("settings", State.OK, "all names are known and all values are valid")
    except SettingsError as wrong:
        yield Finding("settings", State.BAD, str(wrong))
        return
    yield from _backends(placements, missing)
    yield from _plugins()
    yield Finding("device", State.OK, "NVIDIA GPU" if has_cuda() else "CPU: no NVIDIA driver with a device was found")
    yield _sandbox(settings)
    yield _folder(settings)
    yield from _models(settings)
    yield from _sources(settings)
    yield _address(settings)


def _address(settings: Settings) -> Finding:
    """Check that the server could listen where the settings say."""
    trouble, place = address_trouble(settings), settings.unix_socket
    free = f"{settings.os_host} port {settings.os_port} is free" if place is None else f"{place.path} is free"
    return Finding("port" if place is None else "unix socket", State.BAD if trouble else State.OK, trouble or free)


def _backends(placements: tuple[Placement, ...], missing: list[BackendEntry]) -> Iterator[Finding]:
    """Show each backend that is chosen, and how to get the others."""
    for placement in placements:
        entry = placement.backend
        versions = [entry.package, *(_version(module) for module in entry.requires)]
        yield Finding(f"backend {entry.name}", State.OK, " ".join(filter(None, (placement.where, *versions))))
    served = {placement.backend.task for placement in placements}
    for entry in missing:
        state = State.WORSE if entry.task in served else State.BAD
        yield Finding(f"backend {entry.name}", state, f"not installed: {entry.remedy}")
    chosen = {placement.backend.name for placement in placements} | {entry.name for entry in missing}
    for entry in catalog.backends():
        if entry.name not in chosen | _reported() and (entry.extra or entry.package):
            needs = f"needs open-speech[{entry.extra}]" if entry.extra else f"not installed: {entry.remedy}"
            have = f"installed {entry.package}".strip() if catalog.installed(entry) else needs
            yield Finding(f"backend {entry.name}", State.OK, f"not in {entry.task.setting}; {have}")


def _plugins() -> Iterator[Finding]:
    """Name each plugin that is left out, in whole or in part. The server starts without it."""
    for report in catalog.plugin_reports():
        yield Finding(f"plugin {report.name}", State.WORSE, f"{report.package}: {report.problem}: {report.detail}")


def _reported() -> set[str]:
    """Name the backends that are in the catalog and cannot be imported."""
    return {report.name for report in loading.unusable()}


def _version(module: str) -> str:
    names = importlib.metadata.packages_distributions().get(module, [])
    return " ".join(f"{name} {importlib.metadata.version(name)}" for name in names)


def _sandbox(settings: Settings) -> Finding:
    """Confine a process as those are that decode files, and have it report what is in force."""
    with parts.decoding(settings) as fork_server:
        if fork_server is None:
            return Finding("sandbox", State.WORSE, "files are decoded in the server's own process because OS_DECODE_IN_CHILD is off")
        try:
            found = fork_server.in_force()
        except SpeechError as error:
            return Finding("sandbox", State.BAD, str(error))
    return Finding("sandbox", State.WORSE if found.missing else State.OK, str(found))


def _folder(settings: Settings) -> Finding:
    """Check that weights could be written."""
    folder = settings.models_dir.absolute()
    there = next(parent for parent in (folder, *folder.parents) if parent.exists())
    if not os.access(there, os.W_OK | os.X_OK):
        return Finding("models folder", State.WORSE, f"{folder} is not writable: no weights can be pulled")
    return Finding("models folder", State.OK, f"{folder}, {terminal.megabytes(shutil.disk_usage(there).free)} free")


def _models(settings: Settings) -> Iterator[Finding]:
    """Check that the weights of the models by the settings are here."""
    store = parts.store(settings)
    try:
        needed = weights.needed(settings)
    except SettingsError as wrong:
        yield Finding("models", State.BAD, str(wrong))
        return
    for model in needed:
        if store.is_complete(model):
            yield Finding(f"model {model.id}", State.OK, "weights are downloaded")
        else:
            size = terminal.megabytes(model.size_bytes)
            wanted = f"weights are not downloaded{f' ({size})' if size else ''}: open-speech models pull {model.id}"
            yield Finding(f"model {model.id}", State.WORSE, wanted)


def _sources(settings: Settings) -> Iterator[Finding]:
    """Check where weights could come from; each is given 5 seconds."""
    if settings.os_offline:
        yield Finding("network", State.OK, "not checked: OS_OFFLINE is on")
        return
    reach = Reach()
    yield reachable(reach, "hub", constants.ENDPOINT)
    indexes = pip_config().indexes
    if not indexes:
        yield Finding("package index", State.WORSE, "pip has no index configured")
    for url in indexes:
        yield reachable(reach, "package index", url)


def reachable(reach: Reach, what: str, url: str) -> Finding:
    """Check one place that weights could come from: a host, or a folder as a `file:` URL. A user and password in it are not shown."""
    address = urlsplit(url)
    if address.scheme == "file":
        there = Path(url2pathname(address.path)).is_dir()
        return Finding(what, State.OK if there else State.WORSE, f"{address.path} is {'exists' if there else 'does not exist'}")
    try:
        reach.check(url)
    except SourceFailed as failed:
        return Finding(what, State.WORSE, str(failed))
    return Finding(what, State.OK, f"{address.hostname} is reachable")
