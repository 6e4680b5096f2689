"""The state of the runners of one server, queried concurrently, and whether the server is ready."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from open_speech.dispatch.admission import Admission
from open_speech.dispatch.client import RunnerClient
from open_speech.registry import Registry

States = Mapping[str, Mapping[str, Any]]


async def states(registry: Registry, runners: Mapping[str, RunnerClient], admission: Admission) -> dict[str, dict[str, Any]]:
    """Return for each backend where it runs, whether it is ready, its loaded models, the status of its runner and its queue metrics.

    A backend with replicas has the state of each in `replicas`, and `runner` is what they add up to. A backend is also `ready` if it
    answered a moment ago: it is being restarted, and calls wait for it. Takes at most 2 seconds.
    """
    reports = await asyncio.gather(*(runner.report() for runner in runners.values()))
    return {
        name: {
            "where": registry.served[name],
            "ready": report.status is not None or runner.is_coming_back,
            "loaded": (report.status or {}).get("loaded", {}),
            "runner": report.status,
            "line": asdict(admission.lines[name]),
            **({"replicas": [asdict(replica) for replica in report.replicas]} if runner.replicas.is_fleet else {}),
        }
        for (name, runner), report in zip(runners.items(), reports, strict=True)
    }


def is_enough(registry: Registry, states: States) -> bool:
    """Return whether each task of the server has a backend that is ready."""
    tasks = {registry.backends[name].task for name in states}
    ready = {registry.backends[name].task for name, state in states.items() if state["ready"]}
    return bool(tasks) and ready == tasks
