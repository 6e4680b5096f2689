"""What can be done with a model, for both dialects: order, follow, let go, delete."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated, Any

from fastapi import Depends, Request

from open_speech.api.management.operations import Operation, Operations, What
from open_speech.api.management.states import ModelState, all_states, known, state_of
from open_speech.backends import ModelEntry
from open_speech.concurrency.slots import Slots
from open_speech.dispatch.pool import RunnerPool
from open_speech.http.caller import holder_of
from open_speech.http.dependencies import PoolDep

LOOK_S = 0.3
"""Seconds between two looks at a model that is followed."""
_ALWAYS_MOVING = {"last_use_s", "memory_bytes"}


class ModelManagement:
    """The models of one server, as far as a client may do something with them."""

    def __init__(self, pool: RunnerPool, orders: Operations, followers: Slots, holder: str) -> None:
        """`followers` bounds the clients that follow a model at once; `holder` is the API key that the request came with."""
        self._pool = pool
        self._orders = orders
        self._followers = followers
        self._holder = holder

    async def states(self) -> list[ModelState]:
        """Tell how every model is."""
        return await all_states(self._pool, self._orders)

    async def state(self, name: str) -> ModelState:
        """Return the state of one model. Raises UnknownModel or NotInstalled."""
        return await state_of(self._pool, self._orders, await known(self._pool, self._orders, name))

    def order(self, what: What, name: str) -> Operation:
        """Have a model fetched, or fetched and loaded; joins what is under way. Raises UnknownModel, NotInstalled or Overloaded."""
        entry = self._pool.registry.find(name)
        runner = self._pool.client(entry)
        work = runner.load if what == "load" else runner.pull
        return self._orders.place(what, entry.id, lambda: work(entry.id), self._holder)

    async def unload(self, name: str) -> ModelState:
        """Let go of a model; requests that use it are finished first. Raises as `state`."""
        entry = await known(self._pool, self._orders, name)
        await self._orders.cancel("load", entry.id)
        await self._pool.unload(entry.id)
        return await state_of(self._pool, self._orders, entry)

    async def cancel(self, name: str) -> ModelState:
        """Stop fetching a model; what has come is kept. Raises as `state`."""
        entry = await known(self._pool, self._orders, name)
        await self._orders.cancel("download", entry.id)
        return await state_of(self._pool, self._orders, entry)

    async def delete(self, name: str) -> tuple[ModelEntry, int]:
        """Let go of a model and delete its files; gives the bytes freed. Raises as `state`, WeightsUnavailable if that cannot be done."""
        entry = await known(self._pool, self._orders, name)
        for what in ("load", "download"):
            await self._orders.cancel(what, entry.id)
        return entry, await self._pool.client(entry).remove(entry.id)

    async def follow(
        self, name: str, order: Operation | None = None, *, until_settled: bool = False
    ) -> AsyncGenerator[dict[str, Any], None]:
        """Give the state of a model now and at every change, to the end of `order`, until nothing moves, or for ever.

        Raises what the order failed of, and Overloaded when too many clients follow.
        """
        with self._followers.taken(self._holder):
            async with aclosing(self._followed(name, order, until_settled=until_settled)) as states:
                async for state in states:
                    yield state

    async def _followed(self, name: str, order: Operation | None, *, until_settled: bool) -> AsyncGenerator[dict[str, Any], None]:
        entry = self._pool.registry.find(order.model) if order else await known(self._pool, self._orders, name)
        before: dict[str, Any] = {}
        while True:
            over = order is not None and order.task.done()
            state = await state_of(self._pool, self._orders, entry)
            told = state.model_dump(mode="json", exclude=_ALWAYS_MOVING)
            if told != before:
                before = told
                yield state.model_dump(mode="json")
            if order is not None and over:
                await order.done()
                return
            if until_settled and state.progress is None:
                return
            if order is None:
                await asyncio.sleep(LOOK_S)
            else:
                await asyncio.wait({order.task}, timeout=LOOK_S)


async def _desk(request: Request, pool: PoolDep) -> ModelManagement:
    return ModelManagement(pool, request.app.state.orders, request.app.state.followers, holder_of(request.scope))


DeskDep = Annotated[ModelManagement, Depends(_desk)]
