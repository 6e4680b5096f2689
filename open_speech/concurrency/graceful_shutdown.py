"""Graceful shutdown: a signal to stop is delayed until accepted work is done, for a bounded time."""

from __future__ import annotations

import asyncio
import logging
import signal
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

log = logging.getLogger("open_speech")

SIGNALS = (signal.SIGTERM, signal.SIGINT)


@contextmanager
def held_back(until: Callable[[], Awaitable[object]]) -> Iterator[None]:
    """Delay signals to stop: the first one awaits `until` in the running loop, and then calls the previous handler.

    A second signal, such as a second Ctrl-C, is not delayed. Outside of the main thread, no signal is delayed.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    stop = _Stop(asyncio.get_running_loop(), until)
    stop.handlers = {number: signal.signal(number, stop.arrived) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in stop.handlers.items():
            if signal.getsignal(number) == stop.arrived:
                signal.signal(number, handler)


class _Stop:
    def __init__(self, loop: asyncio.AbstractEventLoop, until: Callable[[], Awaitable[object]]) -> None:
        self.handlers: dict[signal.Signals, Any] = {}
        self._loop = loop
        self._until = until
        self._waiting: asyncio.Task[None] | None = None
        self._requested = False
        self._forwarded = False

    def arrived(self, number: int, frame: FrameType | None) -> None:
        """Handle a signal. Runs between any two instructions of the main thread, so it only schedules the work."""
        if self._requested:
            self._forward(number)
            self._loop.call_soon_threadsafe(lambda: None)  # wakes the loop, so that it sees what the handler has set
        else:
            self._requested = True
            self._loop.call_soon_threadsafe(self._begin, number)

    def _begin(self, number: int) -> None:
        self._waiting = self._loop.create_task(self._wait(number))

    async def _wait(self, number: int) -> None:
        try:
            await self._until()
        finally:
            if not self._forwarded:
                self._forward(number)

    def _forward(self, number: int) -> None:
        self._forwarded = True
        handler = self.handlers[signal.Signals(number)]
        if callable(handler):
            handler(number, None)
