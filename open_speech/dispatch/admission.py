"""Admission control: a bounded queue per backend. Requests are refused at once if the queue is too long or the server is stopping.

A limit on the number of requests is not enough: 64 clips take a second on one machine and minutes on another. The limit is therefore on the
expected wait, which follows from the throughput of the queue. A burst may wait long, because it ends. A queue that never becomes empty is
not a burst: requests arrive faster than they are served, and every wait would grow to the limit, so the limit becomes short. (CoDel keeps
the queues of routers short in the same way.)
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
"""Seconds without an empty queue after which a load is no longer treated as a burst."""
STANDING_WAIT_S = 1.0
"""Maximum expected wait, in seconds, that is accepted after that."""
LEAST = 16
"""Requests that may wait for each replica whatever the throughput: a household, or a program with a pool of workers, is never refused."""
STOP_RETRY_S = 5.0
"""Seconds after which clients of a stopping server may retry: by then another server has replaced it, or it has restarted."""
_POLL_S = 0.05


class Runner(Protocol):
    """The part of a runner that admission needs."""

    @property
    def beats(self) -> int:
        """Counter that increases while callers wait for a model that is being downloaded or loaded."""
        ...

    @property
    def working(self) -> int:
        """Number of its replicas that take calls; at least 1."""
        ...


@dataclass(slots=True)
class Queue:
    """Metrics of the queue of one backend."""

    under_way: int = 0
    """Accepted requests that have not finished."""
    waiting: int = 0
    """Requests under way whose answers, or whose first parts of long answers, are not there yet."""
    live: int = 0
    """Waiting requests of live sessions and of clients that play audio as it is generated."""
    accepted: int = 0
    refused: int = 0
    """Accepted and refused requests since the start of the server."""
    pace_s: float = 0.0
    """Seconds from one answer to the next while requests wait; the expected wait is `waiting` times that."""
    waited_s: float = 0.0
    """Total seconds that accepted requests have waited since the start of the server."""


class Ticket:
    """An admitted request."""

    def __init__(self, patience_s: float, answers: int, join: Callable[[], Callable[[bool], None]]) -> None:
        self._patience_s = patience_s
        self._answers = answers
        self._join = join
        self._begun = False
        self._leave_queue = join() if answers else None

    def patience_s(self) -> float:
        """Return the seconds that the next piece of the request may wait for its turn; 0 (no limit) for all but the first piece."""
        patience_s, self._patience_s = self._patience_s, 0.0
        return patience_s

    def answered(self) -> None:
        """Record that a part of the answer has arrived."""
        self._begun = True
        self._answers -= 1
        if self._answers <= 0:
            self._leave(counts=True)

    def close(self, *, done: bool) -> None:
        """Record that the request has ended; `done` is False if it was aborted."""
        self._leave(counts=done and self._begun)

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Wait in the queue during the block, for one answer of a request that does not wait all the time."""
        leave = self._join()
        done = False
        try:
            yield
            done = True
        finally:
            leave(done)

    def _leave(self, *, counts: bool) -> None:
        leave, self._leave_queue = self._leave_queue, None
        if leave is not None:
            leave(counts)


class Admission:
    """The queues of all backends of one server. Used on one event loop."""

    def __init__(
        self,
        runners: Mapping[str, Runner],
        *,
        max_queue: int,
        patience_s: float,
        at_once: Mapping[str, int] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Admit at most `max_queue` requests per replica of a backend, none of which is expected to wait longer than `patience_s` seconds.

        `at_once` maps backends whose replicas answer several requests at a time to their number.
        """
        self._gates = {
            name: _Gate(name, runner, max_queue, patience_s, max(LEAST, (at_once or {}).get(name, 0)), clock)
            for name, runner in runners.items()
        }
        self._clock = clock
        self._closed = False

    @property
    def lines(self) -> dict[str, Queue]:
        """The live metrics of the queue of each backend."""
        return {name: gate.queue for name, gate in self._gates.items()}

    @property
    def is_closed(self) -> bool:
        """Whether new requests are refused."""
        return self._closed

    def close(self) -> None:
        """Refuse new requests from now on; requests under way continue."""
        self._closed = True

    async def finish(self, within_s: float) -> bool:
        """Close, and wait at most `within_s` seconds until no request is under way; return False if one still is."""
        self.close()
        ends = self._clock() + within_s
        while busy := sum(gate.queue.under_way for gate in self._gates.values()):
            if self._clock() >= ends:
                log.warning("stopping with %d requests still in progress after %g s", busy, within_s)
                break
            await asyncio.sleep(_POLL_S)
        return not busy

    def wait_s(self, backend: str, *, live: bool = False) -> float:
        """Return the seconds that a new request would wait; live requests take precedence over the others."""
        return self._gates[backend].wait_s(live=live)

    @contextmanager
    def ticket(self, backend: str, *, answers: int = 1, live: bool = False) -> Iterator[Ticket]:
        """Admit a request for the block. It counts as waiting until it has had that many `answers`, so long requests do not block others.

        With 0 `answers`, for live input, the request counts as waiting only within `Ticket.waiting`.
        Raises Overloaded with the time after which to retry, or Stopping.
        """
        if self._closed:
            raise Stopping("The server is stopping.", retry_after_s=STOP_RETRY_S)
        with self._gates[backend].admit(answers, live=live) as ticket:
            yield ticket


class _Gate:
    """The queue of one backend, and the decision which requests may join it."""

    def __init__(  # noqa: PLR0913 - the parameters of Admission, for one backend
        self, name: str, runner: Runner, max_queue: int, patience_s: float, least: int, clock: Callable[[], float]
    ) -> None:
        self.queue = Queue()
        self._name = name
        self._runner = runner
        self._max_queue = max_queue
        self._patience_s = patience_s
        self._least = least
        self._clock = clock
        self._throughput = Throughput(clock)
        self._beats = runner.beats
        self._standing_since: float | None = None
        """Time, by the clock, at which the queue was last empty; None if it is empty now."""

    def wait_s(self, *, live: bool) -> float:
        return (self.queue.live if live else self.queue.waiting) * self._throughput.seconds

    @contextmanager
    def admit(self, answers: int, *, live: bool) -> Iterator[Ticket]:
        if self._is_full(live=live):
            self.queue.refused += 1
            raise Overloaded(f"Too many requests are waiting for the backend {self._name}.", retry_after_s=self.wait_s(live=live))
        ticket = self._ticket(answers, live)
        done = False
        try:
            yield ticket
            done = True
        finally:
            ticket.close(done=done)
            self.queue.under_way -= 1

    def _is_full(self, *, live: bool) -> bool:
        """Return whether another request must be refused. For a live request only other live requests count, which are served first."""
        queue, replicas = self.queue, self._runner.working
        most, least = self._max_queue * replicas, self._least * replicas
        if live:
            return queue.live >= most or (queue.live >= least and self.wait_s(live=True) > self._patience_s)
        if queue.under_way >= most:
            return True
        return queue.waiting >= least and self.wait_s(live=False) > self._longest_wait_s()

    def _longest_wait_s(self) -> float:
        if self._runner.beats != self._beats:
            # While a model is loaded all requests wait; this is not a sign of overload.
            self._beats, self._standing_since = self._runner.beats, self._clock()
        if self._standing_since is None or self._clock() - self._standing_since < STANDING_AFTER_S:
            return self._patience_s
        return min(STANDING_WAIT_S, self._patience_s)

    def _ticket(self, answers: int, live: bool) -> Ticket:
        self.queue.accepted += 1
        self.queue.under_way += 1
        return Ticket(self._patience_s, answers, partial(self._join, live))

    def _join(self, live: bool) -> Callable[[bool], None]:
        """Join the queue; return the function that leaves it, which takes whether there was an answer."""
        queue, mark, beats = self.queue, self._throughput.join(), self._runner.beats
        if not queue.waiting:
            self._standing_since = mark.at
        queue.waiting += 1
        queue.live += live

        def leave(counts: bool) -> None:
            self._throughput.leave(mark, counts=counts and beats == self._runner.beats)
            queue.waiting -= 1
            queue.live -= live
            queue.pace_s = self._throughput.seconds
            queue.waited_s += self._clock() - mark.at
            if not queue.waiting:
                self._standing_since = None

        return leave
