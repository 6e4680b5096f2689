"""One replica of a runner: the batching queue of the server, with simulated workers instead of threads."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass

from benchmarks.capacity.costs import ReplicaCosts
from benchmarks.capacity.events import Simulation
from runners.host.batching import Ask, Batches

MODEL = "model"


@dataclass(frozen=True, slots=True)
class Work:
    """One window of speech."""

    single_s: float
    """Seconds that a replica takes for it alone."""


class SimulatedBatches(Batches[Work, None]):
    """The queue of a runner as it is: order, fairness, and which windows share a batch. Nothing takes batches but `take`."""

    def __init__(self, size: int) -> None:
        super().__init__(lambda _, windows: [None] * len(windows), size=size, workers=0)

    def take(self) -> list[tuple[Work, Future[None]]]:
        """Remove and return the next batch; windows that were cancelled are left out."""
        taken = self._take()
        return [(one.ask.window, one.future) for one in taken if one.future.set_running_or_notify_cancel()]


class Workers:
    """Work in progress that shares a processor: each piece takes longer while others are in progress."""

    def __init__(self, simulation: Simulation, slowdown: tuple[float, ...]) -> None:
        """Take the factor on the time of each piece while 1, 2, … are in progress."""
        self._simulation = simulation
        self._slowdown = slowdown
        self._left: dict[int, tuple[float, Callable[[], None]]] = {}
        """Number of each piece -> its remaining seconds, alone, and what to do then."""
        self._at = 0.0
        self._version = 0
        self.busy_s = 0.0
        """Seconds of all workers together in which they were busy."""

    @property
    def are_free(self) -> bool:
        """Whether another piece can begin."""
        return len(self._left) < len(self._slowdown)

    def begin(self, seconds: float, done: Callable[[], None]) -> None:
        """Begin a piece that takes so long alone."""
        self._advance()
        self._left[self._version] = (seconds, done)
        self._plan()

    def advance(self) -> None:
        """Count the time until now."""
        self._advance()

    def _advance(self) -> None:
        passed, self._at = self._simulation.now - self._at, self._simulation.now
        if self._left:
            self.busy_s += passed * len(self._left)
            done_s = passed / self._slowdown[len(self._left) - 1]
            self._left = {number: (left_s - done_s, done) for number, (left_s, done) in self._left.items()}

    def _plan(self) -> None:
        """Come back when the next piece is done; earlier plans are void."""
        self._version += 1
        if self._left:
            next_s = max(0.0, min(left_s for left_s, _ in self._left.values()))
            version = self._version
            self._simulation.after(next_s * self._slowdown[len(self._left) - 1], lambda: self._end(version))

    def _end(self, version: int) -> None:
        if version != self._version:
            return
        self._advance()
        number = min(self._left, key=lambda one: self._left[one][0])
        _, done = self._left.pop(number)
        self._plan()
        done()


class Replica:
    """A runner process with its queue."""

    def __init__(self, simulation: Simulation, costs: ReplicaCosts) -> None:
        self._costs = costs
        self._batches = SimulatedBatches(costs.batch)
        self._workers = Workers(simulation, costs.slowdown)
        self.windows = self.batches = 0
        """Windows and batches that were decoded."""

    @property
    def busy_s(self) -> float:
        """Seconds of all workers together in which they were busy."""
        self._workers.advance()
        return self._workers.busy_s

    def submit(self, single_s: float, audio_s: float, *, caller: str, urgency: int = 0) -> Future[None]:
        """Add a window to the queue. Cancelling the future removes it while it waits."""
        future = self._batches.submit(Ask(Work(single_s), audio_s, MODEL, caller, urgency))
        self._start()
        return future

    def give_up(self, future: Future[None], error: Exception) -> None:
        """Remove a window that still waits, and set an error on its future."""
        self._batches.give_up(future, error)

    def _start(self) -> None:
        while self._workers.are_free and (batch := self._batches.take()):
            self.batches += 1
            self.windows += len(batch)
            futures = [future for _, future in batch]
            self._workers.begin(self._costs.batch_s([work.single_s for work, _ in batch]), lambda futures=futures: self._end(futures))

    def _end(self, futures: list[Future[None]]) -> None:
        for future in futures:
            future.set_result(None)
        self._start()
