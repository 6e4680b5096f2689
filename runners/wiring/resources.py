"""The resources of a service, and what BentoML is told of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from runners.wiring.bento_variant import variant


@dataclass(frozen=True, slots=True)
class Resources:
    """The resources of one runner, or of another process of the server."""

    gpu: float = 0.0
    """Share of a GPU that the runner needs on a GPU; 0 for a backend that always runs on the CPU."""
    workers: int = 1
    """Number of processes. Each loads its own copy of the model."""
    threads: int = 1
    """Maximum concurrent calls in one process."""
    cpu: float = 0.0
    """Processor cores that a deployment should reserve; 0 leaves it to the deployment."""
    memory: str = ""
    """Main memory that a deployment should reserve with the default model, such as `512Mi`; empty leaves it to the deployment."""

    def declared(self) -> dict[str, Any]:
        """Return `resources` of BentoML's service. A Bento without packages for GPUs (`cpu`, `free`) declares no GPU."""
        found: dict[str, Any] = {}
        if self.cpu:
            found["cpu"] = self.cpu
        if self.memory:
            found["memory"] = self.memory
        if self.gpu and variant() not in ("cpu", "free"):
            found["gpu"] = self.gpu
        return found


FRONT = Resources(cpu=0.5, memory="512Mi")
"""The front process, which serves the APIs and runs no model but speech detection."""
WYOMING = Resources(cpu=0.5, memory="256Mi")
"""The process that serves Wyoming."""
