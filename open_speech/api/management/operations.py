"""Downloads and loads of models: one operation per model, joined by further requests for the same, and the last error of each model."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal

from open_speech.concurrency.slots import SHARE
from open_speech.dispatch.client import ALL
from open_speech.errors import Overloaded, SpeechError

log = logging.getLogger("open_speech.models")

AT_ONCE = 2
"""Downloads that run at the same time; more wait."""
MOST = 16
"""Operations that may run or wait; more are rejected."""
REMEMBERED = 256
"""Models whose last error is stored."""
RETRY_S = 30.0

Action = Literal["download", "load"]


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation in progress. It continues even if no client waits for it."""

    action: Action
    model: str
    task: asyncio.Task[None]
    holder: str = ""
    """Name of the API key that started it."""
    at: str = ALL
    """Address of the replica at which the model is loaded, or ALL."""

    async def done(self) -> None:
        """Wait for the end; cancelling the wait does not cancel the operation. Raises its error; a cancelled operation raises nothing."""
        await asyncio.wait({self.task})
        if not self.task.cancelled():
            self.task.result()


class Operations:
    """All operations of one server. Used in one event loop."""

    def __init__(self, *, each: int = MOST) -> None:
        """`each` is the number of operations of one API key that may run or wait."""
        self._each = each
        self._operations: dict[tuple[Action, str, str], Operation] = {}
        self._failures: dict[str, SpeechError] = {}
        self._turns = asyncio.Semaphore(AT_ONCE)

    def start(self, action: Action, model: str, work: Callable[[], Awaitable[None]], holder: str = "", *, at: str = ALL) -> Operation:
        """Start an operation, or join the one in progress. Raises Overloaded if there are too many, in total or of one API key."""
        if (operation := self._operations.get((action, model, at))) is not None:
            return operation
        if len(self._operations) >= MOST:
            raise Overloaded("Too many models are being downloaded or loaded: try again later.", retry_after_s=RETRY_S)
        if sum(operation.holder == holder for operation in self._operations.values()) >= self._each:
            raise Overloaded(f"Your API key has {self._each} models in progress; {SHARE} limits them.", retry_after_s=RETRY_S)
        operation = Operation(action, model, asyncio.create_task(self._run(action, work)), holder, at)
        self._operations[action, model, at] = operation
        operation.task.add_done_callback(lambda task: self._ended(operation, task))
        return operation

    def in_progress(self, model: str) -> Operation | None:
        """Return the operation in progress for a model."""
        return next(iter(self._of("load", model) + self._of("download", model)), None)

    def failure(self, model: str) -> SpeechError | None:
        """Return the error of the last operation for a model; None if it did not fail."""
        return self._failures.get(model)

    async def cancel(self, action: Action, model: str) -> bool:
        """Cancel an operation, at all replicas, for all requests that wait for it; return False if there is none."""
        tasks = {operation.task for operation in self._of(action, model)}
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        return bool(tasks)

    def _of(self, action: Action, model: str) -> list[Operation]:
        return [operation for (of, name, _), operation in self._operations.items() if (of, name) == (action, model)]

    async def _run(self, action: Action, work: Callable[[], Awaitable[None]]) -> None:
        if action == "load":
            await work()
            return
        async with self._turns:
            await work()

    def _ended(self, operation: Operation, task: asyncio.Task[None]) -> None:
        del self._operations[operation.action, operation.model, operation.at]
        self._failures.pop(operation.model, None)
        if task.cancelled() or (failure := task.exception()) is None:
            return
        log.warning("%s of %s failed: %s", operation.action, operation.model, failure)
        if isinstance(failure, SpeechError):
            self._failures[operation.model] = failure
            while len(self._failures) > REMEMBERED:
                del self._failures[next(iter(self._failures))]
