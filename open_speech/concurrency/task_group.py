"""The background tasks of a connection or of the server, none of which outlives it."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any


class Tasks:
    """Tasks that were started and have not ended."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def begin(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Start a task."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def end(self) -> None:
        """Cancel all tasks, and wait until they have ended."""
        left = list(self._tasks)
        for task in left:
            task.cancel()
        if left:
            # Not `gather`: when the caller is cancelled, that raises the cancellation of a task in place of the caller's own.
            await asyncio.wait(left)
        for task in left:
            if not task.cancelled():
                task.exception()  # marks the exception as retrieved
