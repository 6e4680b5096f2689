"""The runners of one server, the models that they serve, and the admission of requests to them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from open_speech.backends import BackendEntry, ModelEntry, Task
from open_speech.dispatch.admission import Admission
from open_speech.dispatch.client import RunnerClient
from open_speech.dispatch.readiness import is_enough, states
from open_speech.errors import ModelElsewhere
from open_speech.registry import Registry
from open_speech.security.egress import is_local_only


class RunnerPool:
    """The runners of all models and the admission of requests to them, shared by recognition, synthesis and management."""

    def __init__(self, registry: Registry, clients: Mapping[str, RunnerClient], *, max_queue: int, patience_s: float = 30.0) -> None:
        """`clients` maps the names of the backends to their runners. A request waits at most `patience_s` seconds for its turn."""
        self.registry = registry
        self.clients = dict(clients)
        self.admission = Admission(
            clients,
            max_queue=max_queue,
            patience_s=patience_s,
            at_once={name: 2 * registry.backends[name].batch for name in clients},
        )

    async def usable(self, model: str, task: Task | None = None) -> ModelEntry:
        """Find a model that is installed or may be downloaded for a request.

        Raises what Registry.find and `permit` do, and PullNotAllowed.
        """
        entry = self.registry.find(model, task)
        self.permit(entry)
        await self.client(entry).require(entry.id)
        return entry

    def is_permitted(self, entry: ModelEntry) -> bool:
        """Return whether the key of the current request lets the model have its data."""
        return not (is_local_only() and self.registry.is_elsewhere(entry))

    def permit(self, entry: ModelEntry) -> None:
        """Raise ModelElsewhere if another server runs the model and the key of the current request forbids that data leaves this one."""
        if not self.is_permitted(entry):
            message = f"The model `{entry.id}` runs on another server, which OS_LOCAL_ONLY_KEYS forbids for your API key."
            raise ModelElsewhere(message, param="model")

    def client(self, entry: ModelEntry) -> RunnerClient:
        """Return the client of the runner that serves a model."""
        return self.clients[entry.backend]

    def backend(self, entry: ModelEntry) -> BackendEntry:
        """Return the backend of a model."""
        return self.registry.backends[entry.backend]

    async def load(self, model: str, *, at: str | None = None) -> None:
        """Load a model, and download it first if necessary. `at` is as in RunnerClient.load. Raises SpeechError's children."""
        entry = self.registry.find(model)
        await self.client(entry).load(entry.id, at=at)

    async def unload(self, model: str, *, at: str | None = None) -> bool:
        """Unload a model; return False if it was not loaded. `at` is as in RunnerClient.unload. Raises SpeechError's children."""
        entry = self.registry.find(model)
        return await self.client(entry).unload(entry.id, at=at)

    async def watch(self) -> None:
        """Keep the replicas of all backends up to date, until cancelled."""
        await asyncio.gather(*(client.replicas.watch() for client in self.clients.values()))

    async def status(self) -> dict[str, dict[str, Any]]:
        """Return the state of each backend (dispatch/readiness.py); takes 2 seconds at most."""
        return await states(self.registry, self.clients, self.admission)

    async def is_ready(self) -> bool:
        """Return whether new requests can be served; takes 2 seconds at most."""
        return not self.admission.is_closed and is_enough(self.registry, await self.status())
