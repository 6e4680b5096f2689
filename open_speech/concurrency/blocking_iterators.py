"""Blocking iterators as async ones: two ways, both stop the work soon after the listener leaves."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Any, Protocol, TypeVar

T = TypeVar("T")
_DONE: Any = object()


class Pool(Protocol):
    """Threads that work is put to."""

    def submit(self, work: Callable[..., T], /, *arguments: Any) -> Future[T]:
        """Have `work(*arguments)` done."""
        ...


async def step_by_step(make: Callable[[], Iterator[T]], pool: Pool) -> AsyncGenerator[T, None]:
    """Drive an iterator one step at a time, each waiting its turn in `pool`: long work shares its threads with what comes later.

    Closing this closes the iterator as soon as its running step ends. Raises what the iterator raises.
    """

    def run() -> Generator[T, None, None]:
        yield from make()

    steps = run()
    step: Future[T] | None = None
    try:
        while True:
            step = pool.submit(next, steps, _DONE)
            item = await asyncio.wrap_future(step)
            if item is _DONE:
                return
            yield item
    finally:
        if step is not None and not step.done():
            step.add_done_callback(lambda _: steps.close())
        else:
            steps.close()


async def at_a_stretch(make: Callable[[], Iterator[T]], pool: Pool) -> AsyncGenerator[T, None]:
    """Drive a short iterator from beginning to end in one turn of `pool`; items come out as they are made.

    A listener who is slow holds no thread, so the iterator must be bounded. Closing this stops it after the item it is making.
    Raises what the iterator raises.
    """
    loop = asyncio.get_running_loop()
    items: asyncio.Queue[T] = asyncio.Queue()
    left = threading.Event()

    def put(item: T) -> None:
        with suppress(RuntimeError):  # the loop is gone, and everybody who listened with it
            loop.call_soon_threadsafe(items.put_nowait, item)

    def run() -> None:
        for item in make():
            if left.is_set():
                return
            put(item)

    running = pool.submit(run)
    running.add_done_callback(lambda _: put(_DONE))
    try:
        while (item := await items.get()) is not _DONE:
            yield item
        running.result()
    finally:
        left.set()
        running.cancel()


_large = ThreadPoolExecutor(1, thread_name_prefix="large-message")


async def in_turn(work: Callable[..., T], *arguments: Any) -> T:
    """Parse or decode a large message off the event loop, in the one thread for that: so there is one large message in work at a time.

    `json` and `binascii` let no other thread run while they work, so a second thread would gain nothing and take memory.
    """
    return await asyncio.wrap_future(_large.submit(work, *arguments))
