"""What the server was told to fetch or load: one order for each model, joined by whoever asks for the same, and how the last one ended."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal

from open_speech.concurrency.slots import SHARE
from open_speech.errors import Overloaded, SpeechError

log = logging.getLogger("open_speech.models")

AT_ONCE = 2
"""Downloads that run side by side; more wait."""
MOST = 16
"""Orders that may be under way or wait; more are refused."""
REMEMBERED = 256
"""Models of which it is remembered how the last order failed."""
RETRY_S = 30.0

What = Literal["download", "load"]


@dataclass(frozen=True, slots=True)
class Operation:
    """One order under way; it goes on though nobody waits for it."""

    what: What
    model: str
    task: asyncio.Task[None]
    holder: str = ""
    """Name of the API key that ordered it first."""

    async def done(self) -> None:
        """Wait for its end without being able to end it. Raises what it failed of; a cancelled one raises nothing."""
        await asyncio.wait({self.task})
        if not self.task.cancelled():
            self.task.result()


class Operations:
    """All orders of one server. One event loop."""

    def __init__(self, *, each: int = MOST) -> None:
        """`each` is how many orders of one API key may be under way or wait."""
        self._each = each
        self._operations: dict[tuple[What, str], Operation] = {}
        self._failures: dict[str, SpeechError] = {}
        self._turns = asyncio.Semaphore(AT_ONCE)

    def place(self, what: What, model: str, work: Callable[[], Awaitable[None]], holder: str = "") -> Operation:
        """Order something, or join the order that is under way. Raises Overloaded when there are too many, in all or of one API key."""
        if (order := self._operations.get((what, model))) is not None:
            return order
        if len(self._operations) >= MOST:
            raise Overloaded("Too many models are being downloaded or loaded: try again later.", retry_after_s=RETRY_S)
        if sum(order.holder == holder for order in self._operations.values()) >= self._each:
            raise Overloaded(f"Your API key has {self._each} models in progress; {SHARE} limits them.", retry_after_s=RETRY_S)
        order = Operation(what, model, asyncio.create_task(self._run(what, work)), holder)
        self._operations[what, model] = order
        order.task.add_done_callback(lambda task: self._ended(order, task))
        return order

    def under_way(self, model: str) -> Operation | None:
        """Find what is being done with a model."""
        return self._operations.get(("load", model)) or self._operations.get(("download", model))

    def failure(self, model: str) -> SpeechError | None:
        """Tell why the last order for a model failed; None if it did not."""
        return self._failures.get(model)

    async def cancel(self, what: What, model: str) -> bool:
        """Call an order off, for all who wait for it; False if there is none."""
        order = self._operations.get((what, model))
        if order is None:
            return False
        order.task.cancel()
        await asyncio.wait({order.task})
        return True

    async def _run(self, what: What, work: Callable[[], Awaitable[None]]) -> None:
        if what == "load":
            await work()
            return
        async with self._turns:
            await work()

    def _ended(self, order: Operation, task: asyncio.Task[None]) -> None:
        del self._operations[order.what, order.model]
        self._failures.pop(order.model, None)
        if task.cancelled() or (failure := task.exception()) is None:
            return
        log.warning("%s of %s failed: %s", order.what, order.model, failure)
        if isinstance(failure, SpeechError):
            self._failures[order.model] = failure
            while len(self._failures) > REMEMBERED:
                del self._failures[next(iter(self._failures))]
