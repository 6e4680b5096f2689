"""Where each backend runs: a child process (the default), this process, or another machine. Determined by the settings alone.

`STT_BACKENDS=faster-whisper,vosk@inproc,moonshine@http://gpu-box:3000`. Every child process computes the same plan. A backend on other
machines may have replicas: several addresses (`http://a:3000|http://b:3000`), or names with several addresses (`dns+http://runners:3000`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from open_speech.backends import BackendEntry, Task
from open_speech.config import Settings, SettingsError
from open_speech.config.types import Batching
from open_speech.plugins.loading import usable
from runners import catalog

BY_NAME = "dns+"
"""Prefix of the URL of a host name that stands for several addresses, each of which is a replica."""
_REMOTE = ("http://", "https://", BY_NAME)
_PLACES = "`process`, `inproc`, `http://host:port`, several of these separated by `|`, or `dns+http://name:port`"


def is_remote(where: str) -> bool:
    """Return whether a place is on another machine, so that nothing of the backend is needed on this one."""
    return where.startswith(_REMOTE)


@dataclass(frozen=True, slots=True)
class Placement:
    """One backend and where it runs: `process`, `inproc`, or the URLs of its runners."""

    backend: BackendEntry
    where: str
    batching: Batching = "fair"
    """What forms batches of its waiting calls."""

    @property
    def is_remote(self) -> bool:
        """Whether the backend runs on other machines."""
        return is_remote(self.where)

    @property
    def addresses(self) -> tuple[str, ...]:
        """The URLs of its runners as they are in the settings; empty for a backend on this machine."""
        return tuple(self.where.split("|")) if self.is_remote else ()

    @property
    def is_fleet(self) -> bool:
        """Whether the backend may have several replicas."""
        return len(self.addresses) > 1 or self.where.startswith(BY_NAME)

    @property
    def attribute(self) -> str:
        """Name of the dependency on the front service."""
        return "runner_" + self.backend.name.replace("-", "_")


def plan(settings: Settings) -> tuple[Placement, ...]:
    """Return the placements in the settings, without backends that are not installed and plugins that cannot be imported.

    Raises SettingsError for an unknown backend, one of the wrong task, an unknown place, or a backend that BentoML cannot batch.
    """
    _check_batching(settings)
    placements = filter(None, [_placement(task, item) for task, item in _wanted(settings)])
    found = tuple(p for p in placements if (p.is_remote or catalog.installed(p.backend)) and usable(p.backend))
    return tuple(replace(placement, batching=_batching(placement, settings)) for placement in found)


def left_out(settings: Settings) -> list[BackendEntry]:
    """List the backends in the settings that are not installed. The faults of plugins are in `catalog.plugin_reports` instead."""
    here = {placement.backend.name for placement in plan(settings)}
    reported = {(report.name, report.package) for report in catalog.plugin_reports() if report.whole}
    named = {item.partition("@")[0] for _, item in _wanted(settings)}
    return [entry for entry in catalog.backends() if entry.name in named - here and (entry.name, entry.package) not in reported]


def bentoml_batches() -> tuple[str, ...]:
    """List the backends of which BentoML can form batches: those of ours that decode several inputs in one call."""
    return tuple(entry.name for entry in catalog.BACKENDS if entry.batch > 1)


def _check_batching(settings: Settings) -> None:
    known = bentoml_batches()
    for name, batching in settings.batching.items():
        if name and batching == "bentoml" and name not in known:
            raise SettingsError(f"OS_BATCHING: BentoML cannot batch {name!r}; it can batch {', '.join(known)}")
        if name not in ("", *(entry.name for entry in catalog.backends())):
            raise SettingsError(f"OS_BATCHING: unknown backend {name!r}; known are {', '.join(entry.name for entry in catalog.backends())}")


def _batching(placement: Placement, settings: Settings) -> Batching:
    """Return what batches the calls of a backend: BentoML cannot in this process, nor where `bentoml_batches` does not list the backend."""
    name = placement.backend.name
    chosen = settings.batching.get(name, settings.batching[""])
    if chosen == "fair" or (placement.where != "inproc" and name in bentoml_batches()):
        return chosen
    if name in settings.batching:
        raise SettingsError(f"OS_BATCHING: '{name}=bentoml' needs a process for the backend: place it without `@inproc`")
    return "fair"


def _wanted(settings: Settings) -> list[tuple[Task, str]]:
    tasks = {Task.STT: settings.stt_backends, Task.DIARIZE: settings.stt_diarize_backends, Task.LLM: settings.language_backends}
    if settings.tts_enabled:
        tasks[Task.TTS] = settings.tts_backends
    return [(task, item) for task, items in tasks.items() for item in items]


def _placement(task: Task, item: str) -> Placement | None:
    """Parse one placement; None for a plugin that was left out of the catalog: its report is logged, and the server starts without it."""
    name, _, where = item.partition("@")
    known = {entry.name: entry for entry in catalog.backends() if entry.task is task}
    if name not in known:
        if any(report.name == name and report.whole for report in catalog.plugin_reports()):
            return None
        raise SettingsError(f"{task.setting}: unknown backend {name!r}; known are {', '.join(known)}")
    placement = Placement(known[name], where or "process")
    if where not in ("", "process", "inproc") and not (placement.is_remote and all(map(_is_address, placement.addresses))):
        raise SettingsError(f"{task.setting}: {item!r}: a backend runs at {_PLACES}")
    if len(set(placement.addresses)) < len(placement.addresses):
        raise SettingsError(f"{task.setting}: {item!r} names an address twice")
    return placement


def _is_address(url: str) -> bool:
    """Return whether a part of a place is the URL of a runner, or of runners. TLS needs a name in the URL, which an address is not."""
    by_name = url.startswith(BY_NAME)
    try:
        parts = urlsplit(url.removeprefix(BY_NAME))
        is_complete = bool(parts.hostname) and (parts.port is not None or not by_name)
    except ValueError:  # the port is not a number
        return False
    return is_complete and parts.scheme in (("http",) if by_name else ("http", "https"))
