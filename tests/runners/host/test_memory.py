from __future__ import annotations

import asyncio
import gc
import sys
import weakref
from dataclasses import dataclass

import numpy as np
import pytest

from runners import _memory
from runners._memory import Aftercare, give_back, resident_bytes

MIB = 1 << 20


def test_the_memory_of_this_process_is_told_and_grows_with_what_it_holds() -> None:
    before = resident_bytes()
    held = np.ones(64 * MIB, np.uint8)
    assert resident_bytes() - before > 50 * MIB
    assert held.nbytes == 64 * MIB


@pytest.mark.skipif(sys.platform != "linux", reason="only glibc trims")
def test_what_many_small_pieces_took_is_given_back() -> None:
    give_back()  # what earlier tests left would else be taken instead of new memory
    before = resident_bytes()
    pieces = [bytearray(40_000) for _ in range(4000)]
    held = resident_bytes() - before
    last = pieces[-1]  # the heap's end is in use, so nothing goes back by itself
    del pieces
    give_back()
    assert held > 100 * MIB
    assert resident_bytes() - before < held / 2
    assert len(last) == 40_000


@dataclass
class Process:
    """What an Aftercare asks, and what it did."""

    empty: bool = True
    left: int = 0

    def leave(self) -> None:
        self.left += 1


def after_a_model(process: Process, keeps_mb: int, *, may_leave: bool = True) -> int:
    """How often the process left when a model was let go that leaves so much behind."""

    async def scenario() -> int:
        give_back()  # what earlier tests left would else be given back meanwhile
        care = Aftercare(lambda: process.empty, process.leave if may_leave else None)
        kept = np.ones(keeps_mb * MIB, np.uint8)
        care.soon()
        care.soon()
        await asyncio.sleep(_memory.SETTLE_S + _memory.STAY_S + 0.7)
        return process.left + 0 * len(kept)

    return asyncio.run(scenario())


def test_a_process_that_stays_large_without_a_model_ends_once() -> None:
    assert after_a_model(Process(), resident_bytes() // MIB // 2) == 1


def test_what_is_left_while_it_looks_is_given_back_too() -> None:
    async def scenario() -> bool:
        care = Aftercare(lambda: False, lambda: None)
        care.soon()
        await asyncio.sleep(_memory.SETTLE_S + 0.5)
        array = np.ones(1)
        left = weakref.ref(array)
        knot: list[object] = [array]
        knot.append(knot)  # only the collector frees it
        del array, knot
        care.soon()
        await asyncio.sleep(_memory.STAY_S + _memory.SETTLE_S + 0.5)
        return left() is None

    gc.collect()
    gc.disable()
    try:
        assert asyncio.run(scenario())
    finally:
        gc.enable()


def test_one_that_gave_everything_back_stays() -> None:
    assert after_a_model(Process(), 0) == 0


def test_one_with_another_model_stays() -> None:
    assert after_a_model(Process(empty=False), resident_bytes() // MIB // 2) == 0


def test_one_that_shares_the_process_of_the_server_stays() -> None:
    assert after_a_model(Process(), resident_bytes() // MIB // 2, may_leave=False) == 0
