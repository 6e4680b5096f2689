"""Who may begin: a short line before each backend, refused at once when it is too long, and closed when the server stops.

A number of requests alone is no good limit: 64 clips are a second on one machine and minutes on another. What a client minds is the wait,
so that is what is limited, as the pace of the line lets it be expected. A burst may wait long, for it ends. A line that does not become
empty is no burst: more comes than is worked off, every wait grows to the limit whatever that is, and so the limit becomes short. (The
thought is that of CoDel, which keeps the queues of routers short in the same way.)
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from open_speech.dispatch.throughput import Throughput
from open_speech.errors import Overloaded, Stopping

log = logging.getLogger("open_speech.admission")

STANDING_AFTER_S = 2.0
"""Seconds in which a line never became empty, after which it is no burst any more."""
STANDING_WAIT_S = 1.0
"""The longest wait, in seconds, that is still accepted then."""
LEAST = 16
"""Requests that may wait whatever the pace: a household, or a program with a pool of workers, is never refused."""
STOP_RETRY_S = 5.0
"""Seconds after which a client may try again where a server is stopping: by then another has its place, or it is back."""
_LOOK_S = 0.05


class Runner(Protocol):
    """What is looked at of a runner."""

    @property
    def beats(self) -> int:
        """Grows while it keeps its callers waiting for a model that it fetches or loads."""
        ...


@dataclass(slots=True)
class Queue:
    """What goes on before one backend: plain figures, for whoever wants to look."""

    under_way: int = 0
    """Requests that were accepted and are not finished."""
    waiting: int = 0
    """Of these, those whose answers, or the first parts of long ones, are still to come."""
    live: int = 0
    """Waiting requests of live sessions and of clients that listen as audio is generated."""
    accepted: int = 0
    refused: int = 0
    """Both since the start."""
    pace_s: float = 0.0
    """Seconds from one answer to the next when there is always somebody waiting; `waiting` times that is the wait."""
    waited_s: float = 0.0
    """Seconds that all accepted requests together have waited, since the start."""


class Ticket:
    """A request that was let in."""

    def __init__(self, patience_s: float, answers: int, join: Callable[[], Callable[[bool], None]]) -> None:
        self._patience_s = patience_s
        self._answers = answers
        self._join = join
        self._begun = False
        self._left = join() if answers else None

    def patience_s(self) -> float:
        """Seconds that the next piece of the request may wait for its turn: only the first, for what is begun is not given up."""
        patience_s, self._patience_s = self._patience_s, 0.0
        return patience_s

    def answered(self) -> None:
        """Note that a part of the answer is there."""
        self._begun = True
        self._answers -= 1
        if self._answers <= 0:
            self._leave(counts=True)

    def over(self, *, done: bool) -> None:
        """Note that the request has ended, `done` or broken off."""
        self._leave(counts=done and self._begun)

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Wait in the line as long as the block lasts, for one answer of a request that does not wait all the time."""
        left = self._join()
        done = False
        try:
            yield
            done = True
        finally:
            left(done)

    def _leave(self, *, counts: bool) -> None:
        left, self._left = self._left, None
        if left is not None:
            left(counts)


class Admission:
    """The lines before all backends of one server. One event loop."""

    def __init__(
        self,
        runners: Mapping[str, Runner],
        *,
        max_queue: int,
        patience_s: float,
        at_once: Mapping[str, int] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """At most `max_queue` requests under way for one backend, none of which is to wait longer than `patience_s` seconds.

        `at_once` names backends that answer many side by side, and how many.
        """
        self._gates = {
            name: _Gate(name, runner, max_queue, patience_s, max(LEAST, (at_once or {}).get(name, 0)), clock)
            for name, runner in runners.items()
        }
        self._clock = clock
        self._closed = False

    @property
    def lines(self) -> dict[str, Queue]:
        """The figures by backend; they change while one looks."""
        return {name: gate.line for name, gate in self._gates.items()}

    @property
    def is_closed(self) -> bool:
        """Whether nothing new is let in."""
        return self._closed

    def close(self) -> None:
        """Let nothing in any more; what is under way goes on."""
        self._closed = True

    async def finish(self, within_s: float) -> bool:
        """Close, and wait until nothing is under way, `within_s` seconds at most; False if something still is."""
        self.close()
        ends = self._clock() + within_s
        while busy := sum(gate.line.under_way for gate in self._gates.values()):
            if self._clock() >= ends:
                log.warning("stopping with %d requests still in progress after %g s", busy, within_s)
                break
            await asyncio.sleep(_LOOK_S)
        return not busy

    def wait_s(self, backend: str, *, live: bool = False) -> float:
        """Seconds that a request would wait if it came now; live ones go before the others."""
        return self._gates[backend].wait_s(live=live)

    @contextmanager
    def ticket(self, backend: str, *, answers: int = 1, live: bool = False) -> Iterator[Ticket]:
        """Let a request in until the block ends. It waits until it has had so many `answers`; a longer one is no reason to refuse others.

        Somebody who talks does not wait: with 0 `answers` the ticket waits only where it is told to.
        Raises Overloaded with the time to come back, or Stopping.
        """
        if self._closed:
            raise Stopping("The server is stopping.", retry_after_s=STOP_RETRY_S)
        with self._gates[backend].passed(answers, live=live) as ticket:
            yield ticket


class _Gate:
    """The line before one backend, and who is let into it."""

    def __init__(  # noqa: PLR0913 - what Admission was given, of one backend
        self, name: str, runner: Runner, max_queue: int, patience_s: float, least: int, clock: Callable[[], float]
    ) -> None:
        self.line = Queue()
        self._name = name
        self._runner = runner
        self._max_queue = max_queue
        self._patience_s = patience_s
        self._least = least
        self._clock = clock
        self._pace = Throughput(clock)
        self._beats = runner.beats
        self._standing_since: float | None = None
        """When the line was empty last, by the clock; None if it is now."""

    def wait_s(self, *, live: bool) -> float:
        return (self.line.live if live else self.line.waiting) * self._pace.seconds

    @contextmanager
    def passed(self, answers: int, *, live: bool) -> Iterator[Ticket]:
        if self._is_too_long(live=live):
            self.line.refused += 1
            raise Overloaded(f"Too many requests are waiting for the backend {self._name}.", retry_after_s=self.wait_s(live=live))
        ticket = self._let_in(answers, live)
        done = False
        try:
            yield ticket
            done = True
        finally:
            ticket.over(done=done)
            self.line.under_way -= 1

    def _is_too_long(self, *, live: bool) -> bool:
        """Tell whether one more would be too many; a live request minds only those before it, which are the live ones."""
        line = self.line
        if live:
            return line.live >= self._max_queue or (line.live >= self._least and self.wait_s(live=True) > self._patience_s)
        if line.under_way >= self._max_queue:
            return True
        return line.waiting >= self._least and self.wait_s(live=False) > self._longest_wait_s()

    def _longest_wait_s(self) -> float:
        if self._runner.beats != self._beats:
            # A model that loads keeps everybody waiting, and is no sign of too much work.
            self._beats, self._standing_since = self._runner.beats, self._clock()
        if self._standing_since is None or self._clock() - self._standing_since < STANDING_AFTER_S:
            return self._patience_s
        return min(STANDING_WAIT_S, self._patience_s)

    def _let_in(self, answers: int, live: bool) -> Ticket:
        self.line.accepted += 1
        self.line.under_way += 1
        return Ticket(self._patience_s, answers, partial(self._join, live))

    def _join(self, live: bool) -> Callable[[bool], None]:
        """Wait; gives what ends that, and takes whether it was for an answer."""
        line, mark, beats = self.line, self._pace.join(), self._runner.beats
        if not line.waiting:
            self._standing_since = mark.at
        line.waiting += 1
        line.live += live

        def left(counts: bool) -> None:
            self._pace.leave(mark, counts=counts and beats == self._runner.beats)
            line.waiting -= 1
            line.live -= live
            line.pace_s = self._pace.seconds
            line.waited_s += self._clock() - mark.at
            if not line.waiting:
                self._standing_since = None

        return left
