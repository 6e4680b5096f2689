"""Two ways to run a blocking iterator as an async one. Both stop the work soon after the consumer stops."""

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
    """A pool of threads."""

    def submit(self, work: Callable[..., T], /, *arguments: Any) -> Future[T]:
        """Schedule `work(*arguments)`."""
        ...


async def step_by_step(make: Callable[[], Iterator[T]], pool: Pool) -> AsyncGenerator[T, None]:
    """Run each step of an iterator as a separate task of `pool`, so that long work shares the threads with later work.

    Closing this closes the iterator as soon as its running step ends. Raises the errors of the iterator.
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
    """Run a short iterator to its end as one task of `pool`, and yield items as they are produced.

    A slow consumer blocks no thread, so the iterator must be bounded. Closing this stops the iterator after the current item.
    Raises the errors of the iterator.
    """
    loop = asyncio.get_running_loop()
    items: asyncio.Queue[T] = asyncio.Queue()
    stopped = threading.Event()

    def put(item: T) -> None:
        with suppress(RuntimeError):  # the loop is closed, and no consumer is left
            loop.call_soon_threadsafe(items.put_nowait, item)

    def run() -> None:
        for item in make():
            if stopped.is_set():
                return
            put(item)

    running = pool.submit(run)
    running.add_done_callback(lambda _: put(_DONE))
    try:
        while (item := await items.get()) is not _DONE:
            yield item
        running.result()
    finally:
        stopped.set()
        running.cancel()


_large = ThreadPoolExecutor(1, thread_name_prefix="large-message")


async def in_turn(work: Callable[..., T], *arguments: Any) -> T:
    """Parse or decode a large message in a single dedicated thread, so that only one is processed at a time.

    `json` and `binascii` block all other threads while they run, so a second thread would gain nothing and take memory.
    """
    return await asyncio.wrap_future(_large.submit(work, *arguments))
