"""The clock and the events of a discrete-event simulation. Pure: nothing here waits."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable

Action = Callable[[], None]


class Simulation:
    """A virtual clock, and the actions that are due at its times. Actions of one time are done in the order in which they were added."""

    def __init__(self) -> None:
        self.now = 0.0
        """Seconds since the start."""
        self._due: list[tuple[float, int, Action]] = []
        self._numbers = itertools.count()

    def clock(self) -> float:
        """Return the time, for parts of the server that take a clock."""
        return self.now

    def after(self, delay_s: float, action: Action) -> None:
        """Do something in `delay_s` seconds. Raises ValueError for a time in the past."""
        if delay_s < 0:
            raise ValueError(f"{delay_s} s: an action cannot be in the past")
        heapq.heappush(self._due, (self.now + delay_s, next(self._numbers), action))

    def run(self, until_s: float = float("inf")) -> None:
        """Do everything that is due until then, in order of time, and set the clock to that time (without one: to the last action)."""
        while self._due and self._due[0][0] <= until_s:
            self.now, _, action = heapq.heappop(self._due)
            action()
        if until_s != float("inf"):
            self.now = max(self.now, until_s)
