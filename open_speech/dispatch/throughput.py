"""How fast a line moves. Pure: the clock is passed in.

By Little's law: of n who wait side by side, each for t seconds, one is answered every t / n seconds, whatever happens in between: threads,
batches, fair turns, a decoder that is the narrow place. That is the pace, and a newcomer behind n others waits n times as long.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

FIRST_GUESS_S = 0.25
"""Seconds from answer to answer before one was seen: a short clip, or a sentence, on a few cores."""
WEIGHT = 0.15
"""Of the newest answer: the last ten or so decide."""


@dataclass(frozen=True, slots=True)
class Mark:
    """Where somebody joined the line."""

    at: float
    area: float


class Throughput:
    """The seconds from one answer to the next, as those who were answered last have seen it."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """`clock` gives seconds, monotonic."""
        self.seconds = FIRST_GUESS_S
        self.waiting = 0
        """Who waits at this moment."""
        self._clock = clock
        self._area = 0.0
        """Waiting times seconds, so far."""
        self._at = clock()

    def join(self) -> Mark:
        """Begin to wait."""
        self._advance()
        self.waiting += 1
        return Mark(self._at, self._area)

    def leave(self, mark: Mark, *, counts: bool) -> None:
        """Wait no more; what `counts` was answered in the usual way, and tells the pace."""
        self._advance()
        self.waiting -= 1
        waited, area = self._at - mark.at, self._area - mark.area
        if counts and area > 0:
            self.seconds += WEIGHT * (waited * waited / area - self.seconds)

    def _advance(self) -> None:
        now = self._clock()
        self._area += self.waiting * (now - self._at)
        self._at = now
