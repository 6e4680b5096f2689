"""Memory that is really given back when a model was let go; where a library keeps it, the process ends and is started anew."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import logging
import os
import resource
from collections.abc import Callable
from pathlib import Path

log = logging.getLogger("open_speech.runner")

LARGE_BYTES = 1 << 20
ARENAS = 2
"""Heaps that threads share; each keeps what it once needed."""
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8
"""Names of glibc's parameters, from `malloc.h`."""
KEPT = 1.1
"""A process that is this many times as large as when it began, with no model in it, is not worth keeping."""
SETTLE_S = 0.5
"""Seconds from the end of the last use of a model to the look at what it left: what held it has let go by then."""
STAY_S = 1.5
"""Seconds more that an empty process stays: who swaps models lets one go and asks for the next."""


def resident_bytes() -> int:
    """Tell the memory that this process occupies, in bytes."""
    try:
        return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * resource.getpagesize()
    except OSError:  # not Linux: the most that it ever was is what can be had
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def give_back() -> None:
    """Free what nobody refers to, and hand free memory back to the system. Blocks for some 0.1 s."""
    gc.collect()  # sessions and their inputs refer to each other
    try:
        trim = ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError):  # not glibc
        return
    trim(0)


def return_large_blocks() -> None:
    """Have glibc return every freed block of a MiB or more to the system at once. Call it before the process has other threads.

    By default glibc keeps blocks of up to 32 MiB once it has seen one: audio of 20 MiB in two Realtime messages left 80 MB behind.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # not glibc
        return
    mallopt(_MMAP_THRESHOLD, LARGE_BYTES)
    mallopt(_TRIM_THRESHOLD, 4 * LARGE_BYTES)
    mallopt(_ARENA_MAX, ARENAS)


def exempt_what_is_loaded() -> None:
    """Have the garbage collector pass over all that is there by now, which stays as long as the process: 168 000 objects of modules.

    To look at them takes 125 ms, in which nothing else runs; to look at what came later takes less than 1 ms.
    """
    gc.collect()
    gc.freeze()


class Tidying:
    """Gives memory back a moment after large connections have ended; the end of many leads to one turn."""

    def __init__(self, work: Callable[[], None] = give_back) -> None:
        self._work = work
        self._waiting: asyncio.AbstractEventLoop | None = None
        """The event loop on which it will begin."""

    def soon(self) -> None:
        """Collect garbage and give free memory back, in SETTLE_S seconds. Call it on the event loop."""
        loop = asyncio.get_running_loop()
        if self._waiting is not loop:
            self._waiting = loop
            loop.call_later(SETTLE_S, self._begin)

    def _begin(self) -> None:
        self._waiting = None
        # Off the event loop: to return 50 MB to the system takes some 20 ms, in which other threads may go on.
        asyncio.get_running_loop().run_in_executor(None, self._work)


TIDYING = Tidying()
"""That of this process."""


class Aftercare:
    """What happens in a runner process after a model was let go. One event loop."""

    def __init__(self, is_empty: Callable[[], bool], leave: Callable[[], None] | None) -> None:
        """`is_empty` tells that no model is loaded and nothing under way; `leave` ends the process in good order, where that is wanted."""
        self._is_empty = is_empty
        self._leave = leave
        self._before = resident_bytes()
        self._asked = False
        self._task: asyncio.Task[None] | None = None

    def soon(self) -> None:
        """Look after the memory in a moment."""
        self._asked = True
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._look())

    async def _look(self) -> None:
        while self._asked:
            self._asked = False
            await asyncio.sleep(SETTLE_S)
            await asyncio.to_thread(give_back)
            if self._leave is not None and not self._asked:
                await asyncio.sleep(STAY_S)
        if self._leave is None:
            return
        kept = resident_bytes()
        if self._is_empty() and kept > self._before * KEPT:
            log.info("no model is loaded but %d MB are in use: restarting (pid %d)", (kept - self._before) >> 20, os.getpid())
            self._leave()
