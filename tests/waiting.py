"""Wait for something to happen, with a deadline that only a hang exceeds: no machine that runs the tests is too slow for it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from inspect import isawaitable
from typing import TypeVar

T = TypeVar("T")

PATIENCE_S = 120.0
"""Seconds after which a test gives up. What a test waits for usually takes milliseconds; five other programs may share the machine."""
_EVERY_S = 0.01


def until(found: Callable[[], T], *, within_s: float = PATIENCE_S, why: Callable[[], object] | None = None) -> T:
    """Return the first true value that `found` returns; it is called again and again.

    Raises AssertionError, with what `why` returns, after `within_s` seconds.
    """
    ends = time.monotonic() + within_s
    while not (value := found()):
        _check(ends, why)
        time.sleep(_EVERY_S)
    return value


async def eventually(found: Callable[[], T | Awaitable[T]], *, within_s: float = PATIENCE_S, why: Callable[[], object] | None = None) -> T:
    """Do the same on an event loop; `found` may be a coroutine function."""
    ends = time.monotonic() + within_s
    while True:
        answer = found()
        value = await answer if isawaitable(answer) else answer
        if value:
            return value
        _check(ends, why)
        await asyncio.sleep(_EVERY_S)


def deadline(seconds: float = PATIENCE_S) -> float:
    """Return the time of `time.monotonic` so many seconds from now, for functions that take a deadline."""
    return time.monotonic() + seconds


class Pace:
    """Real time since this was created: audio is sent at the pace at which it is spoken."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    @property
    def seconds(self) -> float:
        """Seconds that have passed. A test may require that something takes at least so long, and no more than that."""
        return time.monotonic() - self._began

    def until_s(self, at_s: float) -> float:
        """Return the seconds to wait until so many have passed; 0 if they have."""
        return max(0.0, at_s - self.seconds)


def _check(ends: float, why: Callable[[], object] | None) -> None:
    if time.monotonic() >= ends:
        raise AssertionError(why() if why else "it did not happen in time")
