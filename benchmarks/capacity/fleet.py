"""Fronts and runner replicas: each front has the admission control of the server and sends its calls to the replicas."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Literal

from benchmarks.capacity.costs import Costs
from benchmarks.capacity.events import Simulation
from benchmarks.capacity.replica import Replica
from open_speech.dispatch.admission import Admission
from open_speech.errors import Overloaded
from open_speech.recognition.live.recognizer import BUSY

BACKEND = "stt"
Dispatch = Literal["chance", "two choices"]


@dataclass(frozen=True, slots=True)
class Size:
    """A fleet: how many of what, and how it is set up."""

    fronts: int
    replicas: int
    dispatch: Dispatch = "two choices"
    """How a front selects the replica of a call: by chance, or of two random ones that with less audio outstanding from this front."""
    busy_passes: int = BUSY
    """Live passes in progress of one front from which its partial passes wait; the server has a constant."""
    max_queue: int = 64
    """OS_MAX_QUEUE."""
    patience_s: float = 30.0
    """OS_QUEUE_TIMEOUT_S."""


class Loaded:
    """The part of a runner that admission needs: its models stay loaded."""

    beats = 0
    working = 1


class Front:
    """A front process: admission, a processor, and its own view of what the replicas have to do for it."""

    def __init__(self, simulation: Simulation, replicas: Sequence[Replica], size: Size, batch: int, dice: random.Random) -> None:
        self.admission = Admission(
            {BACKEND: Loaded()},
            max_queue=size.max_queue,
            patience_s=size.patience_s,
            at_once={BACKEND: 2 * batch},
            clock=simulation.clock,
        )
        self.passes = 0
        """Live passes in progress."""
        self.live_share = 0.0
        """Share of its processor that live sessions need all the time."""
        self.cpu_s = 0.0
        """Seconds of its processor for uploads so far."""
        self._simulation = simulation
        self._replicas = replicas
        self._outstanding_s = [0.0] * len(replicas)
        self._by_chance = size.dispatch == "chance"
        self._busy_passes = size.busy_passes
        self._dice = dice
        self._free_at = 0.0

    @property
    def is_busy(self) -> bool:
        """Whether partial passes wait, as LiveRecognizer.is_busy."""
        return self.passes >= self._busy_passes

    def process(self, cpu_s: float, then: Callable[[], None]) -> None:
        """Do something after the processor has worked for it, in the order of arrival, beside the live sessions. Raises ValueError."""
        if self.live_share >= 1:
            raise ValueError("the live sessions alone need more than the processor of the front")
        self.cpu_s += cpu_s
        self._free_at = max(self._free_at, self._simulation.now) + cpu_s / (1 - self.live_share)
        self._simulation.after(self._free_at - self._simulation.now, then)

    def call(self, single_s: float, audio_s: float, *, caller: str, urgency: int, patience_s: float = 0.0) -> Future[None]:
        """Send a window to a replica; it is refused if it still waits after `patience_s` seconds (0: never)."""
        chosen = self._choose()
        replica = self._replicas[chosen]
        self._outstanding_s[chosen] += audio_s
        future = replica.submit(single_s, audio_s, caller=caller, urgency=urgency)
        future.add_done_callback(lambda _: self._returned(chosen, audio_s))
        if patience_s:
            self._simulation.after(patience_s, lambda: replica.give_up(future, Overloaded("not in time")))
        return future

    def _returned(self, chosen: int, audio_s: float) -> None:
        self._outstanding_s[chosen] -= audio_s

    def _choose(self) -> int:
        count = len(self._replicas)
        one = self._dice.randrange(count)
        if self._by_chance or count == 1:
            return one
        other = (one + 1 + self._dice.randrange(count - 1)) % count
        return min(one, other, key=self._outstanding_s.__getitem__)


class Fleet:
    """All fronts and replicas. Clients are spread over the fronts evenly, as a load balancer does."""

    def __init__(self, simulation: Simulation, size: Size, costs: Costs, dice: random.Random) -> None:
        self.replicas = [Replica(simulation, costs.replica) for _ in range(size.replicas)]
        self.fronts = [Front(simulation, self.replicas, size, costs.replica.batch, dice) for _ in range(size.fronts)]
        self._next = 0

    def front(self) -> Front:
        """Return the front of the next client."""
        self._next += 1
        return self.fronts[self._next % len(self.fronts)]
