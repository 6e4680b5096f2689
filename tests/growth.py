"""Compare CPU times of the same machine with each other, so that a test finds slow growth wherever it runs."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from math import ceil, inf
from typing import TypeVar

T = TypeVar("T")

GROWTH = 10
"""How many times as large the large input is."""
MOST = 25.0
"""How many times the CPU time of the small input the large one may take. Quadratic work takes about 100 times as long; linear work was
seen to take 15 times as long where the large input no longer fits into the processor's cache."""
ROUNDS = 8
"""Both are measured at most this often, in turn, and the best time of each counts: noise only ever adds to a time."""
SHORTEST_S = 0.005
"""A measurement repeats its work until it takes about this long."""


def assert_linear(work: Callable[[T], object], make: Callable[[int], T], size: int) -> None:
    """Fail when an input of ten times the size takes more than 25 times the CPU time; `make` returns an input of a given size.

    The small input must be large enough for a quadratic term to show at ten times its size: several hundred characters, for example.
    """
    small, large = make(size), make(GROWTH * size)
    assert_costs_at_most(MOST, lambda: work(large), lambda: work(small))


def assert_costs_at_most(times: float, work: Callable[[], object], base: Callable[[], object]) -> None:
    """Fail when `work` takes more than `times` the CPU time of `base`."""
    best_work = best_base = inf
    gc.collect()
    for _ in range(ROUNDS):
        best_base = min(best_base, _cpu_s(base))
        best_work = min(best_work, _cpu_s(work))
        if best_work <= times * best_base:
            return
    raise AssertionError(
        f"{best_work:.4f} s of CPU time are {best_work / best_base:.1f} times {best_base:.4f} s; {times:g} times are allowed"
    )


def _cpu_s(work: Callable[[], object]) -> float:
    """Return the CPU seconds that this process spends in one call of `work`."""
    gc.disable()
    try:
        once = _timed(work, 1)
        return once if once >= SHORTEST_S else _timed(work, ceil(SHORTEST_S / max(once, 1e-6)))
    finally:
        gc.enable()


def _timed(work: Callable[[], object], times: int) -> float:
    started = time.process_time()
    for _ in range(times):
        work()
    return (time.process_time() - started) / times
