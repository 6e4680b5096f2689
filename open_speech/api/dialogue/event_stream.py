"""Work that sends events -> an async iterator of these, within a bound."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping
from typing import Any

WAITING = 16
"""Events that may wait for a slow client; the work waits in `room` while there are more."""

Event = Mapping[str, Any]


class EventQueue:
    """The events that one task sends and another reads."""

    def __init__(self) -> None:
        self._events: deque[Event] = deque()
        self._changed = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()

    def put(self, event: Event) -> None:
        """Append an event; never waits."""
        self._events.append(event)
        self._changed.set()
        if len(self._events) >= WAITING:
            self._room.clear()

    async def room(self) -> None:
        """Wait until fewer than WAITING events wait to be read."""
        await self._room.wait()

    async def changed(self) -> None:
        """Wait for an event, or for `wake`."""
        await self._changed.wait()
        self._changed.clear()

    def wake(self) -> None:
        """End the wait of the reader."""
        self._changed.set()

    def take(self) -> Event | None:
        """Return the next event; None if there is none at the moment."""
        event = self._events.popleft() if self._events else None
        if len(self._events) < WAITING:
            self._room.set()
        return event


async def events_of(work: Callable[[EventQueue], Coroutine[Any, Any, None]]) -> AsyncGenerator[Event, None]:
    """Yield the events that `work` sends, then raise its error, if it fails. Closing this cancels it."""
    queue = EventQueue()
    task = asyncio.create_task(work(queue))
    task.add_done_callback(lambda _: queue.wake())
    try:
        while True:
            while (event := queue.take()) is not None:
                yield event
            if task.done():
                break
            await queue.changed()
        while (event := queue.take()) is not None:
            yield event
        task.result()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
