"""Return of memory to the system after a model is unloaded. If a library keeps memory, the process ends and is restarted."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import logging
import os
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

log = logging.getLogger("open_speech.runner")

LARGE_BYTES = 1 << 20
ARENAS = 2
"""Maximum number of malloc arenas, shared by all threads; each arena keeps the most memory that it ever needed."""
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8
"""Numbers of glibc's parameters, from `malloc.h`."""
KEPT = 1.1
"""Ratio of the memory without a loaded model to the memory at the start above which the process is restarted."""
SETTLE_S = 0.5
"""Seconds from the end of the last use of a model until memory is returned: by then all references to the model are gone."""
STAY_S = 1.5
"""Further seconds before an empty process may restart: a client that swaps models unloads one and then requests the next."""
REST_S = 20.0
"""Seconds after which an empty process ends that is not replaced before its next use. A start takes a second or two."""


def resident_bytes() -> int:
    """Return the resident memory of this process, in bytes."""
    try:
        return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * resource.getpagesize()
    except OSError:  # not Linux: only the peak is available
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def give_back() -> None:
    """Collect garbage, and return free memory to the system. Blocks for about 0.1 s."""
    gc.collect()  # sessions and their inputs refer to each other
    try:
        trim = ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError):  # not glibc
        return
    trim(0)


def bound_arenas() -> None:
    """Limit glibc's malloc to ARENAS arenas. Call it before the process has other threads.

    By default it has eight per core. Whisper base, two calls at a time, 40 windows: 454 instead of 546 MB for the same CPU time.
    """
    try:
        ctypes.CDLL(None).mallopt(_ARENA_MAX, ARENAS)
    except (OSError, AttributeError):  # not glibc
        return


def return_large_blocks() -> None:
    """Make glibc return every freed block of a MiB or more to the system at once. Call it before the process has other threads.

    By default glibc keeps blocks of up to 32 MiB once one was freed: audio of 20 MiB in two Realtime messages left 80 MB allocated.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # not glibc
        return
    mallopt(_MMAP_THRESHOLD, LARGE_BYTES)
    mallopt(_TRIM_THRESHOLD, 4 * LARGE_BYTES)
    bound_arenas()


@contextmanager
def collection_paused() -> Iterator[None]:
    """Pause garbage collection in the block, which imports modules.

    It would find nothing among 100 000 objects that all stay, and would take a fifth of the time.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def exempt_what_is_loaded() -> None:
    """Exclude all current objects from garbage collection: 168 000 objects of modules, which live as long as the process.

    A collection that includes them takes 125 ms, during which nothing else runs; a collection of later objects takes less than 1 ms.
    """
    gc.collect()
    gc.freeze()


class Tidying:
    """The return of memory shortly after large connections end; one run covers all that end within SETTLE_S."""

    def __init__(self, work: Callable[[], None] = give_back) -> None:
        self._work = work
        self._waiting: asyncio.AbstractEventLoop | None = None
        """The event loop on which the next run is scheduled."""

    def soon(self) -> None:
        """Schedule garbage collection and the return of free memory in SETTLE_S seconds. Call it on the event loop."""
        loop = asyncio.get_running_loop()
        if self._waiting is not loop:
            self._waiting = loop
            loop.call_later(SETTLE_S, self._begin)

    def _begin(self) -> None:
        self._waiting = None
        # Off the event loop: the return of 50 MB to the system takes about 20 ms, during which other threads may run.
        asyncio.get_running_loop().run_in_executor(None, self._work)


TIDYING = Tidying()
"""The instance of this process."""


class Aftercare:
    """The clean-up of a runner process after a model is unloaded. For one event loop."""

    def __init__(self, is_empty: Callable[[], bool], leave: Callable[[], None] | None, *, rest_s: float = 0.0) -> None:
        """`is_empty` returns whether no model is loaded and no call is in progress; `leave` ends the process gracefully; None: never.

        With `rest_s` a process ends in any case when it has been empty that long, and not only if a library keeps memory.
        """
        self._is_empty = is_empty
        self._leave = leave
        self._rest_s = rest_s
        self._before = resident_bytes()
        self._asked = False
        self._task: asyncio.Task[None] | None = None

    def soon(self) -> None:
        """Schedule the return of memory in SETTLE_S seconds, and then the end of the process if it is due."""
        self._asked = True
        if self.is_done():
            self._task = asyncio.get_running_loop().create_task(self._look())

    def is_done(self) -> bool:
        """Return whether nothing is scheduled any more."""
        return self._task is None or self._task.done()

    async def _look(self) -> None:
        while self._asked:
            self._asked = False
            await asyncio.sleep(SETTLE_S)
            await asyncio.to_thread(give_back)
            if self._leave is not None and not self._asked:
                await asyncio.sleep(self._rest_s or STAY_S)
        if self._leave is None:
            return
        kept = resident_bytes()
        if self._rest_s and self._is_empty():
            log.info("no model is loaded: ending until the next use (pid %d)", os.getpid())
            self._leave()
        elif self._is_empty() and kept > self._before * KEPT:
            log.info("no model is loaded but %d MB are in use: restarting (pid %d)", (kept - self._before) >> 20, os.getpid())
            self._leave()
