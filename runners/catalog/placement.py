"""Where each backend runs: a child process (the default), this process, or another machine. Determined by the settings alone.

`STT_BACKENDS=faster-whisper,vosk@inproc,moonshine@http://gpu-box:3000`. Every child process computes the same plan.
"""

from __future__ import annotations

from dataclasses import dataclass

from open_speech.backends import BackendEntry, Task
from open_speech.config import Settings, SettingsError
from open_speech.plugins.loading import usable
from runners import catalog


@dataclass(frozen=True, slots=True)
class Placement:
    """One backend and where it runs: `process`, `inproc` or an `http(s)://` URL."""

    backend: BackendEntry
    where: str

    @property
    def attribute(self) -> str:
        """Name of the dependency on the front service."""
        return "runner_" + self.backend.name.replace("-", "_")


def plan(settings: Settings) -> tuple[Placement, ...]:
    """Return the placements in the settings, without backends that are not installed and plugins that cannot be imported.

    Raises SettingsError for an unknown backend, one of the wrong task, or an unknown place.
    """
    placements = filter(None, [_placement(task, item) for task, item in _wanted(settings)])
    return tuple(p for p in placements if (p.where.startswith("http") or catalog.installed(p.backend)) and usable(p.backend))


def left_out(settings: Settings) -> list[BackendEntry]:
    """List the backends in the settings that are not installed. The faults of plugins are in `catalog.plugin_reports` instead."""
    here = {placement.backend.name for placement in plan(settings)}
    reported = {(report.name, report.package) for report in catalog.plugin_reports() if report.whole}
    named = {item.partition("@")[0] for _, item in _wanted(settings)}
    return [entry for entry in catalog.backends() if entry.name in named - here and (entry.name, entry.package) not in reported]


def _wanted(settings: Settings) -> list[tuple[Task, str]]:
    tasks = {Task.STT: settings.stt_backends, Task.DIARIZE: settings.stt_diarize_backends}
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
    if where not in ("", "process", "inproc") and not where.startswith(("http://", "https://")):
        raise SettingsError(f"{task.setting}: {item!r}: a backend runs at `process`, `inproc` or `http://host:port`")
    return Placement(known[name], where or "process")
