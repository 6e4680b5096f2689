"""Allowances of requests per caller: a bucket that is refilled steadily (generic cell rate algorithm), and the buckets of one server.

One number is stored for each caller: the time at which its bucket will be full. Pure; the clock is passed in. All times are whole
microseconds, so that every server, and the script in `shared_allowances.py`, computes exactly the same.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

CALLERS = 10_000
"""Maximum number of callers in memory; the one that has been idle for the longest time is removed first."""
SECOND = 1_000_000
"""Microseconds."""


@dataclass(frozen=True, slots=True)
class Share:
    """The remaining allowance of a caller after a request."""

    limit: int
    """Requests per minute."""
    remaining: int
    """Requests that would be accepted immediately."""
    full_s: float
    """Seconds until the allowance is full again."""
    wait_s: float
    """Seconds until a request would be accepted; 0 if this one was."""


@dataclass(frozen=True, slots=True)
class Rate:
    """Requests per minute, and in one burst."""

    limit: int
    """Requests per minute."""
    every_us: int
    """Microseconds in which a bucket gains one request."""
    room_us: int
    """Microseconds in which an empty bucket becomes full."""

    @classmethod
    def of(cls, per_minute: int, at_once: int = 0) -> Rate:
        """Return a rate; `at_once` is the size of a bucket in requests, 0 for as many as `per_minute`."""
        every_us = max(1, round(60 * SECOND / per_minute))
        return cls(per_minute, every_us, (at_once or per_minute) * every_us)

    def wait_us(self, used_us: int) -> int:
        """Return for how long a request must wait if a bucket becomes full in `used_us`; 0 or less if it need not wait."""
        return used_us + self.every_us - self.room_us

    def accepted(self, used_us: int) -> Share:
        """Return the allowance after an accepted request, with which the bucket becomes full in `used_us`."""
        return Share(self.limit, (self.room_us - used_us) // self.every_us, used_us / SECOND, 0.0)

    def refused(self, used_us: int, wait_us: int) -> Share:
        """Return the allowance after a refused request, which is accepted in `wait_us`."""
        return Share(self.limit, 0, used_us / SECOND, wait_us / SECOND)


class Allowances(Protocol):
    """The buckets of all callers."""

    async def take(self, caller: str) -> Share:
        """Take a request from the bucket of a caller, unless it is empty. Raises SharedStateUnavailable without access to the buckets."""
        ...


class LocalAllowances:
    """The buckets of one server, in its memory."""

    def __init__(self, rate: Rate, *, callers: int = CALLERS, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock` returns seconds."""
        self._rate = rate
        self._callers = callers
        self._clock = clock
        self._full_at_us: OrderedDict[str, int] = OrderedDict()

    async def take(self, caller: str) -> Share:
        """Take a request from the bucket of a caller, unless it is empty."""
        now_us = round(self._clock() * SECOND)
        used_us = max(0, self._full_at_us.get(caller, now_us) - now_us)
        wait_us = self._rate.wait_us(used_us)
        if wait_us > 0:
            return self._rate.refused(used_us, wait_us)
        used_us += self._rate.every_us
        self._full_at_us[caller] = now_us + used_us
        self._full_at_us.move_to_end(caller)
        if len(self._full_at_us) > self._callers:
            self._full_at_us.popitem(last=False)
        return self._rate.accepted(used_us)
