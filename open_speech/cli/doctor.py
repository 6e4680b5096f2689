"""`open-speech doctor`: what is installed, what is missing, and whether the server could start."""

from __future__ import annotations

import importlib.metadata
import importlib.util
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
from open_speech.backends import BackendEntry, Task
from open_speech.cli import _gpus as gpus
from open_speech.cli import _model_indexes as model_indexes
from open_speech.cli import _terminal as terminal
from open_speech.cli import _weights as weights
from open_speech.cli.serve import address_trouble
from open_speech.config import Settings, SettingsError
from open_speech.dialogue.language_models import DEFAULT, HOW
from open_speech.errors import SpeechError
from open_speech.hub_names import local_id
from open_speech.plugins import PluginReport, loading
from open_speech.recognition.live.turn_decider import TIMER
from open_speech.webrtc import calls as webrtc_calls
from open_speech.weights.pip_config import pip_config
from open_speech.weights.reach import Reach, SourceFailed
from runners import catalog
from runners.catalog.placement import Placement, left_out, plan
from runners.host.device import has_cuda
from runners.llama import gpus as llama_gpus
from runners.wiring import factories as parts
from runners.wiring import supervisor_parts
from runners.wiring.turn_detection import SMART_TURN, chosen, plugin


class State(Enum):
    """Severity of a finding; the value is the text in the output."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "FAILED"


@dataclass(frozen=True, slots=True)
class Finding:
    """Result of one check. The server cannot start if any has failed."""

    what: str
    state: State
    detail: str


@click.command(name="doctor")
def command() -> None:
    """Check what is installed, what is missing, and whether the server can start (exit code 1 when not)."""
    colours = {State.OK: "green", State.WARNING: "yellow", State.FAILED: "red"}
    with terminal.busy("Checking"):
        findings = list(examine())
    terminal.table(("", "", ""), [(f.state.value, f.what, f.detail) for f in findings], [colours[f.state] for f in findings])
    if any(f.state is State.FAILED for f in findings):
        raise click.exceptions.Exit(1)


def examine() -> Iterator[Finding]:
    """Check everything that a server with the current settings needs."""
    yield Finding("version", State.OK, f"open-speech {__version__}, bentoml {importlib.metadata.version('bentoml')}")
    yield Finding("python", State.OK, f"{platform.python_version()} on {platform.system()} {platform.machine()}")
    try:
        settings = terminal.settings()
        placements = plan(settings)
        missing = left_out(settings)
        parts.presets(settings)
        supervisor_parts.check_shared_state(settings)
        yield Finding("settings", State.OK, "all names are known and all values are valid")
    except SettingsError as wrong:
        yield Finding("settings", State.FAILED, str(wrong))
        return
    yield from _backends(placements, missing)
    yield from _plugins()
    yield from _added_models(settings)
    yield from _language_model(settings, placements)
    yield _webrtc(settings)
    yield from _device()
    yield _sandbox(settings)
    yield _folder(settings)
    yield from _models(settings)
    yield _turn_detector(settings)
    yield from _sources(settings)
    yield _address(settings)


def _device() -> Iterator[Finding]:
    """Report the device that `auto` means, and each GPU of the machine with what it would need."""
    engine_gpus = _ctranslate2_gpus()
    found, access = gpus.look(cuda=has_cuda(), ctranslate2_gpus=engine_gpus)
    device = "NVIDIA GPU" if access.cuda else "CPU: no NVIDIA driver with a device was found"
    yield Finding("device", State.OK, "AMD GPU (ROCm) for Whisper, CPU for the others" if engine_gpus and not access.cuda else device)
    for number, gpu in enumerate(found):
        yield Finding(f"GPU {number}", State.OK, f"{gpu}: {gpus.needs(gpu, access)}")


def _ctranslate2_gpus() -> int:
    """Return how many GPUs the installed CTranslate2 finds: NVIDIA's, or AMD's in its build for ROCm; 0 without the package."""
    if importlib.util.find_spec("ctranslate2") is None:
        return 0
    import ctranslate2  # noqa: PLC0415, TID251 - only it knows for which GPUs it was built; it takes a second to import

    return int(ctranslate2.get_cuda_device_count())


def _address(settings: Settings) -> Finding:
    """Check that the server could listen on the address in the settings."""
    trouble, place = address_trouble(settings), settings.unix_socket
    free = f"{settings.os_host} port {settings.os_port} is free" if place is None else f"{place.path} is free"
    return Finding("port" if place is None else "unix socket", State.FAILED if trouble else State.OK, trouble or free)


def _backends(placements: tuple[Placement, ...], missing: list[BackendEntry]) -> Iterator[Finding]:
    """Report each chosen backend, and how to install or enable the others."""
    for placement in placements:
        entry = placement.backend
        versions = [entry.package, *(_version(module) for module in (*entry.requires, *entry.requires_any))]
        yield Finding(f"backend {entry.name}", State.OK, " ".join(filter(None, (placement.where, *versions))))
    served = {placement.backend.task for placement in placements}
    for entry in missing:
        state = State.WARNING if entry.task in served or entry.task is Task.LLM else State.FAILED
        yield Finding(f"backend {entry.name}", state, f"not installed: {entry.remedy}")
    chosen = {placement.backend.name for placement in placements} | {entry.name for entry in missing}
    for entry in catalog.backends():
        if entry.name not in chosen | _reported() and (entry.extra or entry.package):
            needs = f"needs open-speech[{entry.extra}]" if entry.extra else f"not installed: {entry.remedy}"
            have = f"installed {entry.package}".strip() if catalog.installed(entry) else needs
            yield Finding(f"backend {entry.name}", State.OK, f"not in {entry.task.setting}; {have}")


def _language_model(settings: Settings, placements: tuple[Placement, ...]) -> Iterator[Finding]:
    """Report what answers in conversations, and whether the installed llama.cpp can use a GPU."""
    if settings.llm_base_url:
        yield Finding("language model", State.OK, f"`{settings.llm_model}` of another server, LLM_BASE_URL")
        return
    if not any(placement.backend.name == "llama" and not placement.is_remote for placement in placements):
        return
    found = ", ".join(llama_gpus())
    yield Finding("llama.cpp", State.OK, f"GPU: {found}" if found else "CPU: the installed build supports no GPU, or there is none")
    if local_id(settings.llm_model):
        exists = Path(settings.llm_model).expanduser().is_file()
        said = "exists" if exists else "does not exist"
        yield Finding("language model", State.OK if exists else State.WARNING, f"{settings.llm_model} {said}")
        return
    if settings.llm_model != DEFAULT:
        return  # it is among the models
    registry, store = weights.whole_catalog(settings), parts.store(settings)
    kept = [model.id for model in registry.models(Task.LLM) if model.files and store.is_complete(model)]
    yield Finding("language model", State.OK, f"{kept[0]} is downloaded" if kept else f"none is downloaded: {HOW}")


def _webrtc(settings: Settings) -> Finding:
    """Report whether calls over WebRTC are accepted, and at which ports."""
    if not settings.os_webrtc_enabled:
        return Finding("webrtc", State.OK, "OS_WEBRTC_ENABLED is off")
    if not webrtc_calls.is_installed():
        return Finding("webrtc", State.OK, f"not installed; needs open-speech[{webrtc_calls.EXTRA}]")
    ports = f"UDP ports {settings.os_webrtc_ports}" if settings.webrtc_ports else "any UDP port"
    return Finding("webrtc", State.OK, f"{_version('aiortc')}, {ports}")


def _plugins() -> Iterator[Finding]:
    """Report each plugin that is left out, in whole or in part. The server starts without it."""
    for report in catalog.plugin_reports():
        yield Finding(f"plugin {report.name}", State.WARNING, f"{report.package}: {report.problem}: {report.detail}")


def _added_models(settings: Settings) -> Iterator[Finding]:
    """Report where the models that are not built in are from, and the rows of model indexes that are left out."""
    found = model_indexes.joined(settings)
    for entry in catalog.backends():
        if entry.package and (models := [model.id for model in found.models if model.backend == entry.name]):
            yield Finding(f"models of {entry.name}", State.OK, f"package {entry.package}: {', '.join(models)}")
    for accepted, added in found.origins:
        yield Finding(f"model index {accepted.name}", State.OK, f"{accepted}: {', '.join(added) or 'no models'}")
    for report in found.reports:
        what = f"the model `{report.model}` is left out: " if report.model else ""
        yield Finding(f"model index {report.index}", State.WARNING, f"{what}{report.detail}")


def _reported() -> set[str]:
    """Return the names of backends that are in the catalog but cannot be imported."""
    return {report.name for report in loading.unusable()}


def _version(module: str) -> str:
    names = importlib.metadata.packages_distributions().get(module, [])
    return " ".join(f"{name} {importlib.metadata.version(name)}" for name in names)


def _sandbox(settings: Settings) -> Finding:
    """Start a decoding process, which confines itself, and report the restrictions in force."""
    with parts.decoding(settings) as fork_server:
        if fork_server is None:
            return Finding("sandbox", State.WARNING, "files are decoded in the server's own process because OS_DECODE_IN_CHILD is off")
        try:
            found = fork_server.in_force()
        except SpeechError as error:
            return Finding("sandbox", State.FAILED, str(error))
    return Finding("sandbox", State.WARNING if found.missing else State.OK, str(found))


def _folder(settings: Settings) -> Finding:
    """Check that the models folder is writable."""
    folder = settings.models_dir.absolute()
    existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
    if not os.access(existing, os.W_OK | os.X_OK):
        return Finding("models folder", State.WARNING, f"{folder} is not writable: no weights can be pulled")
    return Finding("models folder", State.OK, f"{folder}, {terminal.megabytes(shutil.disk_usage(existing).free)} free")


def _models(settings: Settings) -> Iterator[Finding]:
    """Check that the weights of the models in the settings are downloaded."""
    store = parts.store(settings)
    try:
        needed = weights.needed(settings)
    except SettingsError as wrong:
        yield Finding("models", State.FAILED, str(wrong))
        return
    for model in needed:
        if store.is_complete(model):
            yield Finding(f"model {model.id}", State.OK, "weights are downloaded")
        else:
            size = terminal.megabytes(model.size_bytes)
            wanted = f"weights are not downloaded{f' ({size})' if size else ''}: open-speech models pull {model.id}"
            yield Finding(f"model {model.id}", State.WARNING, wanted)


def _turn_detector(settings: Settings) -> Finding:
    """Report what decides for `semantic_vad` whether a speaker has finished, and why it is the timer if it should not be."""
    what, store, entry = "turn detector", parts.store(settings), catalog.turn_detector()
    name = chosen(settings, store)
    if name == SMART_TURN:
        return Finding(what, State.OK if store.is_complete(entry) else State.WARNING, f"{name} ({entry.id})")
    if name == TIMER:
        why = "OS_TURN_DETECTOR" if settings.os_turn_detector == TIMER else f"for smart-turn: open-speech models pull {entry.id}"
        return Finding(what, State.OK, f"timer, the length of the silence ({why})")
    try:
        found = plugin(name)
    except SettingsError as wrong:
        return Finding(what, State.FAILED, str(wrong))
    if isinstance(found, PluginReport):
        return Finding(what, State.WARNING, f"timer: {found}")
    return Finding(what, State.OK, f"{name}, a plugin")


def _sources(settings: Settings) -> Iterator[Finding]:
    """Check the sources of weights, with a timeout of 5 seconds each."""
    if settings.os_offline:
        yield Finding("network", State.OK, "not checked: OS_OFFLINE is on")
        return
    reach = Reach()
    yield reachable(reach, "hub", constants.ENDPOINT)
    indexes = pip_config().indexes
    if not indexes:
        yield Finding("package index", State.WARNING, "pip has no index configured")
    for url in indexes:
        yield reachable(reach, "package index", url)


def reachable(reach: Reach, what: str, url: str) -> Finding:
    """Check one source of weights: a host, or a folder as a `file:` URL. A user and password in the URL are not shown."""
    address = urlsplit(url)
    if address.scheme == "file":
        exists = Path(url2pathname(address.path)).is_dir()
        return Finding(what, State.OK if exists else State.WARNING, f"{address.path} is {'exists' if exists else 'does not exist'}")
    try:
        reach.check(url)
    except SourceFailed as failed:
        return Finding(what, State.WARNING, str(failed))
    return Finding(what, State.OK, f"{address.hostname} is reachable")
