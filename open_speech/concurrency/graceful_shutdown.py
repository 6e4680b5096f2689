"""A stop in good order: a signal to stop waits until what was accepted is done, for a bounded time."""

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
    """Hold back signals to stop: at the first, `until` is awaited in the running loop, then the handler that was there has it.

    A second signal is not held back: who presses Ctrl-C again means it. Elsewhere than in the main thread nothing is held back.
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
        self._asked = False
        self._handed_on = False

    def arrived(self, number: int, frame: FrameType | None) -> None:
        """Take a signal; runs between any two instructions of the main thread, so it only leaves word."""
        if self._asked:
            self._hand_on(number)
            self._loop.call_soon_threadsafe(lambda: None)  # a loop that sleeps would not see what the handler left
        else:
            self._asked = True
            self._loop.call_soon_threadsafe(self._begin, number)

    def _begin(self, number: int) -> None:
        self._waiting = self._loop.create_task(self._wait(number))

    async def _wait(self, number: int) -> None:
        try:
            await self._until()
        finally:
            if not self._handed_on:
                self._hand_on(number)

    def _hand_on(self, number: int) -> None:
        self._handed_on = True
        handler = self.handlers[signal.Signals(number)]
        if callable(handler):
            handler(number, None)
