from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
import threading
import weakref
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from runners.host import memory
from runners.host.memory import Aftercare, Tidying, collection_paused, give_back, resident_bytes
from tests.waiting import PATIENCE_S, eventually

MIB = 1 << 20


def test_the_memory_of_this_process_is_told_and_grows_with_what_it_holds() -> None:
    before = resident_bytes()
    held = np.ones(64 * MIB, np.uint8)
    assert resident_bytes() - before > 50 * MIB
    assert held.nbytes == 64 * MIB


@pytest.mark.skipif(sys.platform != "linux", reason="only glibc trims")
def test_large_blocks_are_returned_at_once() -> None:
    code = """
from runners.host.memory import resident_bytes, return_large_blocks
return_large_blocks()
bytes(20 << 20).count(b"x")  # glibc would keep blocks of this size from now on
before = resident_bytes()
pieces = [b"x" * (20 << 20) for _ in range(3)]
small = [bytes(500) for _ in range(1000)]
del pieces
print(resident_bytes() - before)
"""
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[3])
    assert int(shown.stdout) < 5 * MIB


ARENAS = """
import ctypes, sys, threading
from runners.host.memory import bound_arenas
if sys.argv[1] == "bound":
    bound_arenas()
barrier = threading.Barrier(8)
def work():
    barrier.wait()
    pieces = [bytearray(2000) for _ in range(2000)]
    barrier.wait()
threads = [threading.Thread(target=work) for _ in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
libc = ctypes.CDLL(None)
libc.fopen.restype = ctypes.c_void_p
file = libc.fopen(sys.argv[2].encode(), b"w")
libc.malloc_info(0, ctypes.c_void_p(file))
libc.fclose(ctypes.c_void_p(file))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's arenas")
def test_threads_share_a_bounded_number_of_arenas(tmp_path: Path) -> None:
    def arenas(kind: str) -> int:
        command = [sys.executable, "-c", ARENAS, kind, str(tmp_path / kind)]
        subprocess.run(command, check=True, cwd=Path(__file__).parents[3], timeout=PATIENCE_S)
        return (tmp_path / kind).read_text().count("<heap nr=")

    assert arenas("bound") <= memory.ARENAS < arenas("free")


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


def after_a_model(process: Process, keeps_mb: int, *, may_leave: bool = True, leaves: bool = False) -> int:
    """How often the process left when a model was let go that leaves so much behind."""

    async def scenario() -> int:
        give_back()  # what earlier tests left would else be given back meanwhile
        care = Aftercare(lambda: process.empty, process.leave if may_leave else None)
        kept = np.ones(keeps_mb * MIB, np.uint8)
        care.soon()
        care.soon()
        if leaves:
            await eventually(lambda: process.left)
        await asyncio.sleep(memory.SETTLE_S + memory.STAY_S + 0.7)
        return process.left + 0 * len(kept)

    return asyncio.run(scenario())


def test_a_process_that_stays_large_without_a_model_ends_once() -> None:
    assert after_a_model(Process(), resident_bytes() // MIB // 2, leaves=True) == 1


def test_what_is_left_while_it_looks_is_given_back_too() -> None:
    async def scenario() -> bool:
        care = Aftercare(lambda: False, lambda: None)
        care.soon()
        await asyncio.sleep(memory.SETTLE_S + 0.5)
        array = np.ones(1)
        left = weakref.ref(array)
        knot: list[object] = [array]
        knot.append(knot)  # only the collector frees it
        del array, knot
        care.soon()
        await eventually(lambda: left() is None)
        return True

    gc.collect()
    gc.disable()
    try:
        assert asyncio.run(scenario())
    finally:
        gc.enable()


def test_one_that_gave_everything_back_stays() -> None:
    assert after_a_model(Process(), 0) == 0


def test_one_that_starts_again_at_its_next_use_ends_though_it_gave_everything_back() -> None:
    async def scenario(process: Process) -> int:
        care = Aftercare(lambda: process.empty, process.leave, rest_s=0.01)
        care.soon()
        await eventually(lambda: process.left)
        return process.left

    assert asyncio.run(scenario(Process())) == 1


def test_one_that_starts_again_at_its_next_use_stays_while_it_has_a_model() -> None:
    async def scenario(process: Process) -> int:
        care = Aftercare(lambda: process.empty, process.leave, rest_s=0.01)
        care.soon()
        await eventually(care.is_done)
        return process.left

    assert asyncio.run(scenario(Process(empty=False))) == 0


def test_one_with_another_model_stays() -> None:
    assert after_a_model(Process(empty=False), resident_bytes() // MIB // 2) == 0


def test_one_that_shares_the_process_of_the_server_stays() -> None:
    assert after_a_model(Process(), resident_bytes() // MIB // 2, may_leave=False) == 0


@pytest.mark.parametrize("enabled", [True, False])
def test_garbage_collection_goes_on_afterwards_as_before(enabled: bool) -> None:
    was_enabled = gc.isenabled()
    (gc.enable if enabled else gc.disable)()
    try:
        with pytest.raises(ImportError), collection_paused():
            assert not gc.isenabled()
            raise ImportError
        assert gc.isenabled() is enabled
    finally:
        (gc.enable if was_enabled else gc.disable)()


def test_what_is_loaded_is_exempt_from_garbage_collection_and_what_comes_later_is_not() -> None:
    code = """
import gc, weakref
from runners.host.memory import exempt_what_is_loaded
class Node: pass
exempt_what_is_loaded()
assert gc.get_freeze_count() > 10_000
one = Node(); one.self = one; seen = weakref.ref(one); del one
gc.collect()
print(seen())
"""
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[3])
    assert shown.stdout.strip() == "None"


def test_the_end_of_many_large_connections_leads_to_one_turn_off_the_event_loop() -> None:
    turns: list[int] = []
    tidying = Tidying(lambda: turns.append(threading.get_ident()))

    async def scene() -> None:
        for turn in (1, 2):
            for _ in range(5):
                tidying.soon()
            await eventually(lambda turn=turn: len(turns) == turn)

    for _ in range(2):  # an event loop that ended before its turn came holds up no other
        asyncio.run(asyncio.wait_for(begun(tidying), 10))
        turns.clear()
        asyncio.run(scene())
        assert len(turns) == 2
        assert threading.get_ident() not in turns


async def begun(tidying: Tidying) -> None:
    tidying.soon()


@pytest.mark.skipif(sys.platform != "linux", reason="only glibc trims")
def test_what_lies_free_between_what_is_used_is_given_back() -> None:
    code = """
from runners.host.memory import give_back, resident_bytes, return_large_blocks
return_large_blocks()
before = resident_bytes()
blocks = [bytes(100_000) for _ in range(1000)]
kept = blocks[::100]
del blocks
print(resident_bytes() - before)
give_back()
print(resident_bytes() - before)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[3])
    held, left = map(int, done.stdout.split())
    assert held > 40 * MIB > 10 * MIB > left
