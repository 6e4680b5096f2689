"""The threads in which a model runs, and their queue: ordered by urgency, then by arrival."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from open_speech.errors import Overloaded

T = TypeVar("T")


@dataclass(order=True)
class _Waiting:
    turn: tuple[int, int]
    future: Future[Any] = field(compare=False)
    work: Callable[[], Any] = field(compare=False)


class CallQueue:
    """A thread pool with a priority queue. Thread-safe."""

    def __init__(self, threads: int, name: str = "model") -> None:
        """At most `threads` pieces of work run at the same time."""
        self._most = threads
        self._name = name
        self._waiting: list[_Waiting] = []
        self._changed = threading.Condition()
        self._numbers = itertools.count()
        self._threads: list[threading.Thread] = []

    def submit(self, urgency: int, work: Callable[[], T]) -> Future[T]:
        """Add work to the queue; cancelling the future removes the work while it waits."""
        future: Future[T] = Future()
        with self._changed:
            heapq.heappush(self._waiting, _Waiting((-urgency, next(self._numbers)), future, work))
            if len(self._threads) < self._most:
                thread = threading.Thread(target=self._serve, name=f"{self._name}-{len(self._threads)}", daemon=True)
                self._threads.append(thread)
                thread.start()
            self._changed.notify()
        return future

    def give_up(self, future: Future[Any], error: Exception) -> None:
        """Remove waiting work from the queue and set an error on its future; does nothing if it is no longer in the queue."""
        with self._changed:
            still = [waiting for waiting in self._waiting if waiting.future is not future]
            if len(still) == len(self._waiting):
                return
            heapq.heapify(still)
            self._waiting = still
        fail(future, error)

    def turn(self, urgency: int = 0, patience_s: float = 0.0) -> Turn:
        """Return the thread pool for one call; only the first piece of work fails after it has waited `patience_s` seconds (0: never)."""
        return Turn(self, urgency, patience_s)

    def _serve(self) -> None:
        while True:
            self._work_off(self._next())

    def _next(self) -> _Waiting:
        with self._changed:
            while not self._waiting:
                self._changed.wait()
            return heapq.heappop(self._waiting)

    def _work_off(self, waiting: _Waiting) -> None:
        if not waiting.future.set_running_or_notify_cancel():
            return
        try:
            result = waiting.work()
        except BaseException as failure:  # noqa: BLE001 - passed to the waiting caller; a worker thread must not end because of it
            waiting.future.set_exception(failure)
        else:
            waiting.future.set_result(result)


class Turn:
    """The view of a CallQueue for one call, used as a thread pool."""

    def __init__(self, line: CallQueue, urgency: int, patience_s: float) -> None:
        self._line = line
        self._urgency = urgency
        self._patience_s = patience_s

    def submit(self, work: Callable[..., T], /, *arguments: Any) -> Future[T]:
        """Add work to the queue; called in the event loop."""
        future = self._line.submit(self._urgency, lambda: work(*arguments))
        patience_s, self._patience_s = self._patience_s, 0.0
        give_up_after(patience_s, self._line, future)
        return future


class Queue(Protocol):
    """A queue in which work waits."""

    def give_up(self, future: Future[Any], error: Exception) -> None:
        """Remove waiting work and set an error on its future; does nothing if it is no longer in the queue."""
        ...


def give_up_after(patience_s: float, queue: Queue, future: Future[Any]) -> None:
    """Fail work with Overloaded if it still waits after `patience_s` seconds; 0: it waits without limit. Called in the event loop."""
    if not patience_s:
        return
    loop = asyncio.get_running_loop()
    error = Overloaded(f"The request waited {patience_s:g} s for its turn.", retry_after_s=patience_s)
    timer = loop.call_later(patience_s, queue.give_up, future, error)

    def forget(_: Future[Any]) -> None:
        with suppress(RuntimeError):  # the loop is closed, and its timers are gone
            loop.call_soon_threadsafe(timer.cancel)

    future.add_done_callback(forget)


def fail(future: Future[Any], error: Exception) -> None:
    """Set an error on work that was removed from its queue, unless the work has been cancelled."""
    if future.set_running_or_notify_cancel():
        future.set_exception(error)
