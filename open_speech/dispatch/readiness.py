"""How the runners of one server are, asked all at once, and whether that is enough to serve."""

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
    """Tell, per backend, where it runs, whether it answers, what it has loaded, what it says of itself and how long its line is.

    `ready` is also one that answered a moment ago: it is being started again, and calls wait for it. Takes 2 seconds at most.
    """
    answers = await asyncio.gather(*(runner.status() for runner in runners.values()))
    return {
        name: {
            "where": registry.served[name],
            "ready": answer is not None or runner.is_coming_back,
            "loaded": (answer or {}).get("loaded", {}),
            "runner": answer,
            "line": asdict(admission.lines[name]),
        }
        for (name, runner), answer in zip(runners.items(), answers, strict=True)
    }


def is_enough(registry: Registry, states: States) -> bool:
    """Tell whether each task that is served has a backend that is ready."""
    tasks = {registry.backends[name].task for name in states}
    ready = {registry.backends[name].task for name, state in states.items() if state["ready"]}
    return bool(tasks) and ready == tasks
