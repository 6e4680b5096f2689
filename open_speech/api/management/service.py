"""Model management for both APIs: download, load, follow, unload and delete models."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from functools import partial
from typing import Annotated, Any

from fastapi import Depends, Request

from open_speech.api.management.operations import Action, Operation, Operations
from open_speech.api.management.states import ModelState, all_states, find_model, state_of
from open_speech.backends import ModelEntry
from open_speech.concurrency.slots import Slots
from open_speech.dispatch.client import ALL
from open_speech.dispatch.pool import RunnerPool
from open_speech.http.caller import holder_of
from open_speech.http.dependencies import PoolDep

POLL_S = 0.3
"""Interval in seconds at which the state of a followed model is checked."""
_CHANGING = {"last_use_s", "memory_bytes"}
_VOLATILE: dict[str, Any] = {**dict.fromkeys(_CHANGING, True), "replicas": {"__all__": _CHANGING}}


class ModelManagement:
    """The operations that clients may perform on the models of one server."""

    def __init__(self, pool: RunnerPool, operations: Operations, followers: Slots, holder: str) -> None:
        """`followers` limits the clients that follow models at the same time; `holder` is the name of the request's API key."""
        self._pool = pool
        self._operations = operations
        self._followers = followers
        self._holder = holder

    async def states(self) -> list[ModelState]:
        """Return the state of every model."""
        return await all_states(self._pool, self._operations)

    async def state(self, name: str) -> ModelState:
        """Return the state of one model. Raises UnknownModel or NotInstalled."""
        return await state_of(self._pool, self._operations, await find_model(self._pool, self._operations, name))

    def start(self, action: Action, name: str, at: str = ALL) -> Operation:
        """Download, or download and load, a model, or join the operation in progress. A load is at one replica, or at all.

        Raises UnknownModel, UnknownReplica, NotInstalled or Overloaded.
        """
        entry = self._pool.registry.find(name)
        runner = self._pool.client(entry)
        if at != ALL:
            runner.replicas.at(at)
        work = partial(runner.load, entry.id, at=at) if action == "load" else partial(runner.pull, entry.id)
        return self._operations.start(action, entry.id, work, self._holder, at=at)

    async def unload(self, name: str, at: str = ALL) -> ModelState:
        """Unload a model at one replica, or at all, after the requests that use it. Raises the errors of `state`, or UnknownReplica."""
        entry = await find_model(self._pool, self._operations, name)
        if at == ALL:
            await self._operations.cancel("load", entry.id)
        await self._pool.unload(entry.id, at=at)
        return await state_of(self._pool, self._operations, entry)

    async def cancel(self, name: str) -> ModelState:
        """Cancel the download of a model; downloaded data is kept. Raises the errors of `state`."""
        entry = await find_model(self._pool, self._operations, name)
        await self._operations.cancel("download", entry.id)
        return await state_of(self._pool, self._operations, entry)

    async def delete(self, name: str) -> tuple[ModelEntry, int]:
        """Unload a model, delete its files and return the freed bytes. Raises the errors of `state`, or WeightsUnavailable on failure."""
        entry = await find_model(self._pool, self._operations, name)
        for action in ("load", "download"):
            await self._operations.cancel(action, entry.id)
        return entry, await self._pool.client(entry).remove(entry.id)

    async def follow(
        self, name: str, operation: Operation | None = None, *, until_settled: bool = False
    ) -> AsyncGenerator[dict[str, Any], None]:
        """Yield the state of a model now and at every change, to the end of `operation`, until nothing is in progress, or forever.

        Raises the error of the operation, and Overloaded if too many clients follow models.
        """
        with self._followers.taken(self._holder):
            async with aclosing(self._followed(name, operation, until_settled=until_settled)) as states:
                async for state in states:
                    yield state

    async def _followed(self, name: str, operation: Operation | None, *, until_settled: bool) -> AsyncGenerator[dict[str, Any], None]:
        entry = self._pool.registry.find(operation.model) if operation else await find_model(self._pool, self._operations, name)
        before: dict[str, Any] = {}
        while True:
            ended = operation is not None and operation.task.done()
            state = await state_of(self._pool, self._operations, entry)
            stable = state.model_dump(mode="json", exclude=_VOLATILE)
            if stable != before:
                before = stable
                yield state.model_dump(mode="json")
            if operation is not None and ended:
                await operation.done()
                return
            if until_settled and state.progress is None:
                return
            if operation is None:
                await asyncio.sleep(POLL_S)
            else:
                await asyncio.wait({operation.task}, timeout=POLL_S)


async def _management(request: Request, pool: PoolDep) -> ModelManagement:
    return ModelManagement(pool, request.app.state.operations, request.app.state.followers, holder_of(request.scope))


ManagementDep = Annotated[ModelManagement, Depends(_management)]
