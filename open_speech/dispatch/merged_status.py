"""The status of a backend from the statuses of its replicas. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Status = Mapping[str, Any]
"""The answer to RunnerStatus."""


@dataclass(frozen=True, slots=True)
class ReplicaState:
    """The state of one replica."""

    where: str
    """Its URL."""
    ready: bool
    """Whether it gets calls. If all replicas fail, calls are sent to them nevertheless."""
    runner: Status | None
    """The status of its runner; None if it does not answer in time."""
    outstanding_s: float
    """Seconds of audio of the calls in progress."""
    calls: int
    """Calls since it was found, with those in progress."""
    lost: int
    """Calls whose runner died before the answer was complete."""


@dataclass(frozen=True, slots=True)
class Report:
    """The state of a backend."""

    status: dict[str, Any] | None
    """The status of its runner, or what its replicas add up to; None if none answers."""
    replicas: tuple[ReplicaState, ...] = ()
    """The state of each replica; empty for a backend that can only have one runner."""

    @classmethod
    def of(cls, states: Sequence[ReplicaState], *, is_fleet: bool) -> Report:
        """Return the state of a backend from those of its replicas; `is_fleet` is False for one that can only have one runner."""
        answers = [state.runner for state in states if state.runner is not None]
        if is_fleet:
            return cls(merged(answers) if answers else None, tuple(states))
        return cls(dict(answers[0]) if answers else None)


def merged(statuses: Sequence[Status]) -> dict[str, Any]:
    """Return the status of a backend: sums over its replicas, and for each loaded model the seconds since its last use at any of them.

    What belongs to one process, such as `pid`, is left out. `version` and `device` list the different values.
    """
    return {
        "version": _listed(statuses, "version"),
        "device": _listed(statuses, "device"),
        "memory_bytes": sum(status.get("memory_bytes") or 0 for status in statuses),
        "loaded": _least(statuses),
        "in_flight": _added(statuses, "in_flight"),
        "progress": {model: progress for status in statuses for model, progress in status.get("progress", {}).items()},
        "fetched_models": sum(status.get("fetched_models") or 0 for status in statuses),
        "batches": _added(statuses, "batches"),
    }


def _listed(statuses: Sequence[Status], field: str) -> str:
    return ", ".join(dict.fromkeys(str(status[field]) for status in statuses if status.get(field)))


def _least(statuses: Sequence[Status]) -> dict[str, float]:
    found: dict[str, float] = {}
    for status in statuses:
        for model, idle_s in status.get("loaded", {}).items():
            found[model] = min(idle_s, found.get(model, idle_s))
    return found


def _added(statuses: Sequence[Status], field: str) -> dict[str, int]:
    total: Counter[str] = Counter()
    for status in statuses:
        # BentoML's JSON turns the sizes of batches into text; those of a replica in this process are numbers.
        total.update({str(key): count for key, count in status.get(field, {}).items()})
    return dict(total)
