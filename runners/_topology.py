"""Where each backend runs: a child process (the default), this process, or another machine. Decided by settings alone.

`STT_BACKENDS=faster-whisper,vosk@inproc,moonshine@http://gpu-box:3000`. Every child process computes the same plan again.
"""

from __future__ import annotations

import importlib
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import bentoml  # noqa: TID251 - the composition of services

from open_speech.backends import BackendEntry, Task, Vad
from open_speech.config import Settings, SettingsError
from open_speech.engine import Engine, EngineLimits
from open_speech.remote import Link, RunnerClient
from runners import catalog
from runners._bentoml import ServiceLink
from runners._host import Host
from runners._parts import host_options, registry, store

log = logging.getLogger("bentoml.open_speech")


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
    """Read the placements from the settings; a backend that is not installed here is left out.

    Raises SettingsError for an unknown backend, one of the wrong task, or an unknown place.
    """
    wanted = [("STT_BACKENDS", Task.STT, item) for item in settings.stt_backends]
    if settings.tts_enabled:
        wanted += [("TTS_BACKENDS", Task.TTS, item) for item in settings.tts_backends]
    placements = [_placement(variable, task, item) for variable, task, item in wanted]
    return tuple(p for p in placements if p.where.startswith("http") or catalog.installed(p.backend))


def left_out(settings: Settings) -> list[BackendEntry]:
    """List the backends that the settings name and that are not installed."""
    here = {placement.backend.name for placement in plan(settings)}
    named = [item.partition("@")[0] for item in (*settings.stt_backends, *(settings.tts_backends if settings.tts_enabled else ()))]
    return [entry for entry in catalog.BACKENDS if entry.name in named and entry.name not in here]


def _placement(variable: str, task: Task, item: str) -> Placement:
    name, _, where = item.partition("@")
    known = {entry.name: entry for entry in catalog.BACKENDS if entry.task is task}
    if name not in known:
        raise SettingsError(f"{variable}: unknown backend {name!r}; known are {', '.join(known)}")
    if where not in ("", "process", "inproc") and not where.startswith(("http://", "https://")):
        raise SettingsError(f"{variable}: {item!r}: a backend runs at `process`, `inproc` or `http://host:port`")
    return Placement(known[name], where or "process")


def service_of(entry: BackendEntry) -> Any:
    """Import the BentoML service at the foot of a backend's file."""
    module = importlib.import_module(entry.module)
    return next(s for s in vars(module).values() if isinstance(s, bentoml.Service) and s.name == entry.name.replace("-", "_"))


def dependencies(placements: Iterable[Placement]) -> dict[str, Any]:
    """Make the front service's class attributes: one BentoML dependency per backend in another process."""
    found = {}
    for placement in placements:
        if placement.where == "process":
            found[placement.attribute] = bentoml.depends(service_of(placement.backend))
        elif placement.where != "inproc":
            found[placement.attribute] = bentoml.depends(service_of(placement.backend), url=placement.where)
    return found


def engine_of(front: Any, settings: Settings, placements: Iterable[Placement]) -> Engine:
    """Build the engine over the dependencies of a running front service; backends `inproc` live in this process."""
    placements = tuple(placements)
    links = {
        p.backend.name: _host(p.backend, settings) if p.where == "inproc" else ServiceLink(getattr(front, p.attribute)) for p in placements
    }
    return _engine(settings, links, {p.backend.name: p.where for p in placements})


def local_engine(settings: Settings) -> Engine:
    """Build an engine with every backend in this process: for the command line and for tests."""
    entries = [placement.backend for placement in plan(settings)]
    return _engine(settings, {e.name: _host(e, settings) for e in entries}, {e.name: "inproc" for e in entries})


def _host(entry: BackendEntry, settings: Settings) -> Host:
    backend = getattr(importlib.import_module(entry.module), entry.target.partition(":")[2])
    served = registry(settings, {entry.name: "inproc"})
    return Host(backend, served, store(settings), host_options(settings, entry.name), threads=2)


def _engine(settings: Settings, links: Mapping[str, Link], served: Mapping[str, str]) -> Engine:
    vad = Vad(settings.stt_vad_threshold, settings.stt_vad_min_speech_ms, settings.stt_vad_silence_ms)
    limits = EngineLimits(
        max_audio_s=settings.os_max_audio_s,
        max_queue=settings.os_max_queue,
        max_text_chars=settings.tts_max_input_length,
    )
    clients = {name: RunnerClient(name, link, deadline_s=settings.os_request_timeout_s) for name, link in links.items()}
    return Engine(
        registry(settings, served), clients, limits, vad=vad if settings.stt_vad_enabled else None, speed=settings.tts_speed
    )
