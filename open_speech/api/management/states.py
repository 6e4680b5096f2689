"""The state of each model, combined from the catalog, its runner, the disk and the operations in progress."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel

from open_speech.api.management.operations import Action, Operations
from open_speech.backends import ModelEntry, Task
from open_speech.dialogue.language_models import LanguageModels
from open_speech.dispatch.merged_status import ReplicaState
from open_speech.dispatch.pool import RunnerPool
from open_speech.errors import UnknownModel
from open_speech.http.errors import envelope
from open_speech.registry import Registry

State = Literal["available", "downloading", "downloaded", "loading", "loaded"]


class ProgressBody(BaseModel):
    """Progress of a download or a load. The bytes are those of the current step; a new `state` starts again at 0."""

    what: Action
    state: Literal["waiting", "checking", "downloading", "unpacking", "loading", "done"]
    file: str = ""
    done_bytes: int = 0
    total_bytes: int | None = None
    percent: float | None = None
    """In [0, 100]; None while the size is unknown."""
    source: str = ""
    """Human-readable: `hub`, `package index` and so on."""


class ReplicaBody(BaseModel):
    """The current state of one model at one replica of its backend."""

    where: str
    """URL of the replica."""
    ready: bool
    """Whether the replica gets calls."""
    reachable: bool
    state: State
    device: str | None
    memory_bytes: int | None
    last_use_s: float | None
    in_flight: int
    """The other fields are as in ModelState."""


class ModelState(BaseModel):
    """The current state of one model."""

    id: str
    object: Literal["model"] = "model"
    task: Task
    backend: str
    where: str
    """`process`, `inproc`, or the URL of the machine on which its backend runs; of replicas, all URLs of the settings."""
    reachable: bool
    """Whether its backend responds; if not, `state` is derived without it."""
    state: State
    default: bool
    """Whether OpenAI's names (`whisper-1`, `tts-1`) are aliases of the model."""
    description: str
    licence: str
    languages: tuple[str, ...]
    size_bytes: int | None
    """Of all its files; None if unknown before the download."""
    disk_bytes: int
    device: str | None
    memory_bytes: int | None
    """Resident memory of its backend's processes, with all models in them; None unless loaded."""
    last_use_s: float | None
    """Seconds since its last use; None unless loaded."""
    in_flight: int
    """Requests that use it at this moment."""
    progress: ProgressBody | None
    error: dict[str, Any] | None
    """Error of the last requested download or load; None if it did not fail."""
    replicas: tuple[ReplicaBody, ...] = ()
    """Its state at each replica; empty for a backend that can only have one runner."""


class AnsweringModel(BaseModel):
    """The language model of conversations whose client names none."""

    name: str
    where: Literal["local", "remote"]
    """Whether it is a model of this server, or of the one at LLM_BASE_URL."""
    fault: str = ""
    """Why it is not used; empty if it is."""


class ModelStates(BaseModel):
    """All models of one server."""

    object: Literal["list"] = "list"
    models: tuple[ModelState, ...]
    language_model: AnsweringModel | None
    """The default of conversations; None if no language model is downloaded or configured."""


@dataclass(frozen=True, slots=True)
class RunnerReport:
    """The status of a runner and the models on its disk."""

    status: Mapping[str, Any] | None
    """The result of Host.status; None if the runner does not respond."""
    disk_bytes: Mapping[str, int]
    """Bytes on disk by model."""
    replicas: tuple[tuple[ReplicaState, Mapping[str, int]], ...] = ()
    """The state of each replica and the models on its disk; empty for a backend that can only have one runner."""


async def state_of(pool: RunnerPool, operations: Operations, entry: ModelEntry) -> ModelState:
    """Return the state of one model; takes 2 seconds at most."""
    return describe(entry, pool.registry, await _report_of(pool, entry.backend), operations)


async def all_states(pool: RunnerPool, operations: Operations) -> list[ModelState]:
    """Return the states of all models of the served backends and of other models on their disks; takes 2 seconds at most."""
    names = list(pool.clients)
    reports = dict(zip(names, await asyncio.gather(*(_report_of(pool, name) for name in names)), strict=True))
    entries = {entry.id: entry for entry in pool.registry.models()}
    for name in (name for report in reports.values() for name in report.disk_bytes):
        if name not in entries:
            entries[name] = pool.registry.find(name)
    return [describe(entry, pool.registry, reports[entry.backend], operations) for entry in entries.values()]


async def answering_model(models: LanguageModels, configured: str) -> AnsweringModel | None:
    """Return the default language model; `configured` is LLM_MODEL, which a fault names."""
    if name := await models.default_name():
        return AnsweringModel(name=name, where="remote" if models.is_remote else "local")
    fault = models.fault()
    return AnsweringModel(name=configured, where="local", fault=fault) if fault else None


async def find_model(pool: RunnerPool, operations: Operations, name: str) -> ModelEntry:
    """Find a model that is in the catalog, on disk, loaded, or part of an operation.

    Raises UnknownModel for any other hub repository, and the errors of Registry.find.
    """
    try:
        return pool.registry.listed(name)
    except UnknownModel:
        entry = pool.registry.find(name)
        report = await _report_of(pool, entry.backend)
        is_present = entry.id in report.disk_bytes or entry.id in (report.status or {}).get("loaded", {})
        if not (is_present or operations.in_progress(entry.id) or operations.failure(entry.id)):
            raise
        return entry


def describe(entry: ModelEntry, registry: Registry, report: RunnerReport, operations: Operations) -> ModelState:
    """Return the state of a model. Pure."""
    status = report.status or {}
    parts = [part.id for part in entry.whole]
    idle = [seconds for name, seconds in status.get("loaded", {}).items() if name in parts]
    disk = report.disk_bytes.get(entry.id)
    operation, failure = operations.in_progress(entry.id), operations.failure(entry.id)
    reported = next((progress for name, progress in status.get("progress", {}).items() if name in parts), None)
    progress = _progress(reported, operation.action if operation else None)
    return ModelState(
        id=entry.id,
        task=entry.task,
        backend=entry.backend,
        where=registry.served[entry.backend],
        reachable=report.status is not None,
        state=_state(progress, loaded=bool(idle), downloaded=disk is not None),
        default=entry.id in (registry.defaults.stt_model, registry.defaults.tts_model),
        description=entry.description,
        licence=entry.licence,
        languages=entry.languages,
        size_bytes=entry.size_bytes or disk,
        disk_bytes=disk or 0,
        device=status.get("device"),
        memory_bytes=status.get("memory_bytes") if idle else None,
        last_use_s=round(min(idle), 1) if idle else None,
        in_flight=sum(users for name, users in status.get("in_flight", {}).items() if name in parts),
        progress=progress,
        error=envelope(failure)["error"] if failure else None,
        replicas=tuple(_at_replica(replica, parts, is_kept=entry.id in kept) for replica, kept in report.replicas),
    )


def _at_replica(replica: ReplicaState, parts: list[str], *, is_kept: bool) -> ReplicaBody:
    status = replica.runner or {}
    idle = [seconds for name, seconds in status.get("loaded", {}).items() if name in parts]
    reported = next((progress for name, progress in status.get("progress", {}).items() if name in parts), None)
    return ReplicaBody(
        where=replica.where,
        ready=replica.ready,
        reachable=replica.runner is not None,
        state=_state(_progress(reported, None), loaded=bool(idle), downloaded=is_kept),
        device=status.get("device"),
        memory_bytes=status.get("memory_bytes") if idle else None,
        last_use_s=round(min(idle), 1) if idle else None,
        in_flight=sum(users for name, users in status.get("in_flight", {}).items() if name in parts),
    )


def _progress(reported: Mapping[str, Any] | None, requested: Action | None) -> ProgressBody | None:
    """Return the progress of a model. Without an operation, it is a load that a speech or transcription request caused."""
    if reported is None:
        return ProgressBody(what=requested, state="waiting") if requested else None
    done, total = reported.get("done_bytes", 0), reported.get("total_bytes")
    percent = round(100 * min(1.0, done / total), 1) if total else None
    return ProgressBody(
        what=requested or "load", state=reported["state"], file=reported.get("file", ""), source=reported.get("source", ""),
        done_bytes=done, total_bytes=total, percent=percent,
    )  # fmt: skip


def _state(progress: ProgressBody | None, *, loaded: bool, downloaded: bool) -> State:
    if loaded:
        return "loaded"
    if progress is not None:
        return "loading" if downloaded or progress.state == "loading" else "downloading"
    return "downloaded" if downloaded else "available"


async def _report_of(pool: RunnerPool, backend: str) -> RunnerReport:
    runner = pool.clients[backend]
    report, disk_bytes = await asyncio.gather(runner.report(), runner.kept())
    kept = {replica.address: replica.kept for replica in runner.replicas.members}
    return RunnerReport(report.status, disk_bytes, tuple((replica, kept.get(replica.where, {})) for replica in report.replicas))
