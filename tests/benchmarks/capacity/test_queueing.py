"""The simulation against what queueing theory knows: Poisson arrivals at one replica whose windows are decoded one at a time."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

import pytest

from benchmarks.capacity.costs import ReplicaCosts
from benchmarks.capacity.events import Simulation
from benchmarks.capacity.replica import Replica

ARRIVALS = 8_000
SEEDS = range(8)
"""Of independent runs, whose mean is compared: waits within one run depend on each other, so a longer run gains less."""


def erlang_c(servers: int, load: float) -> float:
    """Return the probability that an arrival has to wait in M/M/c; `load` is the mean number of busy servers."""
    waits = load**servers / math.factorial(servers) * servers / (servers - load)
    return waits / (sum(load**k / math.factorial(k) for k in range(servers)) + waits)


def mean_times(workers: int, per_s: float, service: Callable[[random.Random], float]) -> tuple[float, float]:
    """Return the mean seconds that a window waits, and those that it is in the replica."""
    runs = [times_of(workers, per_s, service, seed) for seed in SEEDS]
    waited, took = (sum(column) / len(runs) for column in zip(*runs, strict=True))
    return waited, took


def times_of(workers: int, per_s: float, service: Callable[[random.Random], float], seed: int) -> tuple[float, float]:
    """Return the means of one run."""
    dice = random.Random(seed)
    simulation = Simulation()
    replica = Replica(simulation, ReplicaCosts(0.0, 0.0, 0.0, 1.0, (1.0,) * workers, 1, 1.0))
    took: list[float] = []
    worked: list[float] = []

    def arrive() -> None:
        began, seconds = simulation.now, service(dice)
        worked.append(seconds)
        future = replica.submit(seconds, 1.0, caller=f"file-{len(worked)}")
        future.add_done_callback(lambda _: took.append(simulation.now - began))
        if len(worked) < ARRIVALS:
            simulation.after(dice.expovariate(per_s), arrive)

    simulation.after(0.0, arrive)
    simulation.run()
    assert len(took) == ARRIVALS
    in_all = sum(took) / ARRIVALS
    return in_all - sum(worked) / ARRIVALS, in_all


@pytest.mark.parametrize("load", [0.3, 0.6, 0.8])
def test_random_service_times_wait_as_in_m_m_1(load: float) -> None:
    waited, took = mean_times(1, load, lambda dice: dice.expovariate(1.0))
    assert waited == pytest.approx(load / (1 - load), rel=0.1)
    assert took == pytest.approx(1 / (1 - load), rel=0.07)


@pytest.mark.parametrize("load", [0.3, 0.6, 0.8])
def test_equal_service_times_wait_half_as_long_as_in_m_d_1(load: float) -> None:
    waited, _ = mean_times(1, load, lambda _: 1.0)
    assert waited == pytest.approx(load / (2 * (1 - load)), rel=0.06)


@pytest.mark.parametrize(("servers", "load"), [(2, 0.6), (2, 0.8), (4, 0.8), (16, 0.9)])
def test_several_workers_wait_as_in_m_m_c(servers: int, load: float) -> None:
    waited, _ = mean_times(servers, servers * load, lambda dice: dice.expovariate(1.0))
    assert waited == pytest.approx(erlang_c(servers, servers * load) / (servers * (1 - load)), rel=0.12)


def test_erlang_c_of_one_server_is_its_load() -> None:
    assert erlang_c(1, 0.7) == pytest.approx(0.7)
    assert erlang_c(2, 1.0) == pytest.approx(1 / 3)


def test_the_tolerance_tells_the_formulas_apart() -> None:
    waited, _ = mean_times(1, 0.8, lambda _: 1.0)
    assert waited != pytest.approx(0.8 / (1 - 0.8), rel=0.3)
