"""How each model is: what the catalog, its runner, the disk and the orders under way say of it, in one body."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel

from open_speech.api.management.operations import Operations, What
from open_speech.backends import ModelEntry, Task
from open_speech.dispatch.pool import RunnerPool
from open_speech.errors import UnknownModel
from open_speech.http.errors import envelope
from open_speech.registry import Registry

State = Literal["available", "downloading", "downloaded", "loading", "loaded"]


class ProgressBody(BaseModel):
    """Progress of a download or a load. The bytes are those of the current step; a new `state` starts again at 0."""

    what: What
    state: Literal["waiting", "checking", "downloading", "unpacking", "loading", "done"]
    file: str = ""
    done_bytes: int = 0
    total_bytes: int | None = None
    percent: float | None = None
    """In [0, 100]; None while the size is unknown."""
    source: str = ""
    """For people: `hub`, `package index` and so on."""


class ModelState(BaseModel):
    """One model as it is now."""

    id: str
    object: Literal["model"] = "model"
    task: Task
    backend: str
    where: str
    """`process`, `inproc`, or the URL of the machine on which its backend runs."""
    reachable: bool
    """Whether its backend answers; if not, `state` is what is known without it."""
    state: State
    default: bool
    """Whether OpenAI's names (`whisper-1`, `tts-1`) stand for it."""
    description: str
    licence: str
    languages: tuple[str, ...]
    size_bytes: int | None
    """Of all its files; None if that is not known before they are fetched."""
    disk_bytes: int
    device: str | None
    memory_bytes: int | None
    """Resident memory of its backend's process, with all models in it; None unless loaded."""
    last_use_s: float | None
    """Seconds since its last use; None unless loaded."""
    in_flight: int
    """Requests that use it at this moment."""
    progress: ProgressBody | None
    error: dict[str, Any] | None
    """Why the last fetch or load failed that was ordered; None after one that did not."""


class ModelStates(BaseModel):
    """All models of one server."""

    object: Literal["list"] = "list"
    models: tuple[ModelState, ...]


@dataclass(frozen=True, slots=True)
class Seen:
    """What a runner tells of itself and of its disk."""

    answer: Mapping[str, Any] | None
    """As Host.status tells; None if it does not answer."""
    kept: Mapping[str, int]
    """Bytes by model."""


async def state_of(pool: RunnerPool, orders: Operations, entry: ModelEntry) -> ModelState:
    """Ask about one model; takes 2 seconds at most."""
    return describe(entry, pool.registry, await _look(pool, entry.backend), orders)


async def all_states(pool: RunnerPool, orders: Operations) -> list[ModelState]:
    """Ask about every model of the backends that run here, and what else of theirs is kept; takes 2 seconds at most."""
    names = list(pool.clients)
    seen = dict(zip(names, await asyncio.gather(*(_look(pool, name) for name in names)), strict=True))
    entries = {entry.id: entry for entry in pool.registry.models()}
    for name in (name for look in seen.values() for name in look.kept):
        if name not in entries:
            entries[name] = pool.registry.find(name)
    return [describe(entry, pool.registry, seen[entry.backend], orders) for entry in entries.values()]


async def known(pool: RunnerPool, orders: Operations, name: str) -> ModelEntry:
    """Find a model of which there is something to tell: listed, kept on disk, loaded, or the object of an order.

    Raises UnknownModel for a hub repository that nobody has asked for yet, and what Registry.find does.
    """
    try:
        return pool.registry.listed(name)
    except UnknownModel:
        entry = pool.registry.find(name)
        look = await _look(pool, entry.backend)
        ours = entry.id in look.kept or entry.id in (look.answer or {}).get("loaded", {})
        if not (ours or orders.under_way(entry.id) or orders.failure(entry.id)):
            raise
        return entry


def describe(entry: ModelEntry, registry: Registry, seen: Seen, orders: Operations) -> ModelState:
    """Put together what is known of a model. Pure."""
    answer = seen.answer or {}
    parts = [part.id for part in entry.whole]
    idle = [seconds for name, seconds in answer.get("loaded", {}).items() if name in parts]
    disk = seen.kept.get(entry.id)
    order, failure = orders.under_way(entry.id), orders.failure(entry.id)
    told = next((progress for name, progress in answer.get("progress", {}).items() if name in parts), None)
    progress = _progress(told, order.what if order else None)
    return ModelState(
        id=entry.id,
        task=entry.task,
        backend=entry.backend,
        where=registry.served[entry.backend],
        reachable=seen.answer is not None,
        state=_state(progress, loaded=bool(idle), downloaded=disk is not None),
        default=entry.id in (registry.defaults.stt_model, registry.defaults.tts_model),
        description=entry.description,
        licence=entry.licence,
        languages=entry.languages,
        size_bytes=entry.size_bytes or disk,
        disk_bytes=disk or 0,
        device=answer.get("device"),
        memory_bytes=answer.get("memory_bytes") if idle else None,
        last_use_s=round(min(idle), 1) if idle else None,
        in_flight=sum(users for name, users in answer.get("in_flight", {}).items() if name in parts),
        progress=progress,
        error=envelope(failure)["error"] if failure else None,
    )


def _progress(told: Mapping[str, Any] | None, ordered: What | None) -> ProgressBody | None:
    """Say how far it is; what a request set going, without an order, is a load."""
    if told is None:
        return ProgressBody(what=ordered, state="waiting") if ordered else None
    done, total = told.get("done_bytes", 0), told.get("total_bytes")
    percent = round(100 * min(1.0, done / total), 1) if total else None
    return ProgressBody(
        what=ordered or "load", state=told["state"], file=told.get("file", ""), source=told.get("source", ""),
        done_bytes=done, total_bytes=total, percent=percent,
    )  # fmt: skip


def _state(progress: ProgressBody | None, *, loaded: bool, downloaded: bool) -> State:
    if loaded:
        return "loaded"
    if progress is not None:
        return "loading" if downloaded or progress.state == "loading" else "downloading"
    return "downloaded" if downloaded else "available"


async def _look(pool: RunnerPool, backend: str) -> Seen:
    runner = pool.clients[backend]
    answer, kept = await asyncio.gather(runner.status(), runner.kept())
    return Seen(answer, kept)
