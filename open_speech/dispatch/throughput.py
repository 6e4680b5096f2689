"""Measures the throughput of a queue. Pure: the clock is passed in.

By Little's law, if n requests wait at a time, each for t seconds, one is answered every t / n seconds, whatever happens in between:
threads, batches, fair queueing, a decoder as the bottleneck. A new request behind n others waits n times as long.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

FIRST_GUESS_S = 0.25
"""Initial estimate of the seconds from answer to answer: a short clip, or a sentence, on a few cores."""
WEIGHT = 0.15
"""Weight of the newest answer in the average: about the last ten answers determine it."""


@dataclass(frozen=True, slots=True)
class Mark:
    """The time at which a request joined the queue, and the area under the queue length until then."""

    at: float
    area: float


class Throughput:
    """A moving average of the seconds from one answer to the next."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """`clock` returns monotonic seconds."""
        self.seconds = FIRST_GUESS_S
        self.waiting = 0
        """Number of requests that wait now."""
        self._clock = clock
        self._area = 0.0
        """Integral of `waiting` over time, in seconds."""
        self._at = clock()

    def join(self) -> Mark:
        """Join the queue; return the mark to leave it with."""
        self._advance()
        self.waiting += 1
        return Mark(self._at, self._area)

    def leave(self, mark: Mark, *, counts: bool) -> None:
        """Leave the queue. If it `counts`, the request was answered normally and updates the average."""
        self._advance()
        self.waiting -= 1
        waited, area = self._at - mark.at, self._area - mark.area
        if counts and area > 0:
            self.seconds += WEIGHT * (waited * waited / area - self.seconds)

    def _advance(self) -> None:
        now = self._clock()
        self._area += self.waiting * (now - self._at)
        self._at = now
