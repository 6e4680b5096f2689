"""Batches of windows of all requests in progress, with fair queueing: a short request does not wait for all windows of a long one.

BentoML's own adaptive batching decodes one batch at a time per process, has no order but arrival, is not available for a backend in this
process, and makes single calls up to 45 % slower while it learns. This queue avoids all of that: worker threads take waiting windows.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from open_speech.audio import Audio
from open_speech.backends import BatchSynthesizer, Utterance, Window, WindowResult, WindowTranscriber
from open_speech.dispatch.choice import SECONDS_PER_CHAR as SECONDS_PER_CHAR
from open_speech.errors import SpeechError
from runners.host.call_queue import fail

W = TypeVar("W")
R = TypeVar("R")

MOST_UNLIKE = 1.5
"""Windows whose lengths differ by more than this factor do not share a batch: the short one would be decoded in the long one's context."""


@dataclass(frozen=True, slots=True)
class Ask(Generic[W]):
    """One window and the values that determine when, and with which others, it is decoded."""

    window: W
    seconds: float
    """Length of the window."""
    kind: Hashable
    """Only windows of the same kind share a batch; the kind is the model that they need."""
    caller: str
    """The request that the window belongs to."""
    urgency: int = 0
    """A higher value is decoded first."""


@dataclass
class _Waiting(Generic[W, R]):
    ask: Ask[W]
    turn: float
    future: Future[R] = field(default_factory=Future)


class Batches(Generic[W, R]):
    """The queue and its worker threads. A worker takes the next window and others of similar length, and decodes them together.

    The order is start-time fair queueing: the next window of a request waits for as many seconds of other requests as its last one had.
    """

    def __init__(self, decode: Callable[[Hashable, Sequence[W]], Sequence[R]], *, size: int, workers: int) -> None:
        """`decode(kind, windows)` returns one result per window; at most `size` windows per call, in each of `workers` threads."""
        self._decode = decode
        self._size = size
        self._workers = workers
        self._waiting: list[_Waiting[W, R]] = []
        self._changed = threading.Condition()
        self._clock = 0.0
        self._next_turn: dict[str, float] = {}
        self._threads: list[threading.Thread] = []
        self.sizes: Counter[int] = Counter()
        """Batch size -> number of decoded batches of that size."""

    def submit(self, ask: Ask[W]) -> Future[R]:
        """Add a window to the queue; cancelling the future removes the window while it waits."""
        with self._changed:
            turn = max(self._clock, self._next_turn.get(ask.caller, 0.0))
            self._next_turn[ask.caller] = turn + ask.seconds
            waiting: _Waiting[W, R] = _Waiting(ask, turn)
            self._waiting.append(waiting)
            self._start_threads()
            self._changed.notify()
        return waiting.future

    def give_up(self, future: Future[Any], error: Exception) -> None:
        """Remove a waiting window from the queue and set an error on its future; does nothing if it no longer waits."""
        with self._changed:
            still = [waiting for waiting in self._waiting if waiting.future is not future]
            if len(still) == len(self._waiting):
                return
            self._waiting = still
        fail(future, error)

    def _start_threads(self) -> None:
        while len(self._threads) < self._workers:
            thread = threading.Thread(target=self._work, name=f"batch-{len(self._threads)}", daemon=True)
            self._threads.append(thread)
            thread.start()

    def _work(self) -> None:
        while True:
            # In a separate call: a waiting worker must not keep references to the last windows, and with them to their model.
            self._work_off(self._next())

    def _next(self) -> list[_Waiting[W, R]]:
        with self._changed:
            while not (batch := self._take()):
                self._changed.wait()
            return batch

    def _work_off(self, batch: list[_Waiting[W, R]]) -> None:
        running = [waiting for waiting in batch if waiting.future.set_running_or_notify_cancel()]
        if not running:
            return
        with self._changed:
            self.sizes[len(running)] += 1
        try:
            results = self._decode(running[0].ask.kind, [waiting.ask.window for waiting in running])
        except BaseException as failure:  # noqa: BLE001 - passed to every waiting caller; a worker thread must not end because of it
            for waiting in running:
                waiting.future.set_exception(failure)
            return
        for waiting, result in zip(running, results, strict=True):
            waiting.future.set_result(result)

    def _take(self) -> list[_Waiting[W, R]]:
        """Remove and return the next window and those after it that may share its batch; empty if no window waits."""
        self._waiting = [waiting for waiting in self._waiting if not waiting.future.cancelled()]
        if not self._waiting:
            self._next_turn.clear()
            return []
        order = sorted(self._waiting, key=lambda waiting: (-waiting.ask.urgency, waiting.turn))
        first = order[0]
        batch = [waiting for waiting in order if _alike(first.ask, waiting.ask)][: self._size]
        self._clock = max(self._clock, first.turn)
        taken = set(map(id, batch))
        self._waiting = [waiting for waiting in self._waiting if id(waiting) not in taken]
        return batch


def _alike(one: Ask[W], other: Ask[W]) -> bool:
    low, high = sorted((one.seconds, other.seconds))
    return one.kind == other.kind and high <= low * MOST_UNLIKE + 1


@dataclass(frozen=True, slots=True)
class SameModel:
    """The kind of windows, or utterances, that need the same loaded model. No other property of the model is compared."""

    backend: Any

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SameModel) and other.backend is self.backend

    def __hash__(self) -> int:
        return id(self.backend)


def transcribe_batch(kind: Hashable, windows: Sequence[Window]) -> Sequence[WindowResult | SpeechError]:
    """Transcribe a batch of windows with the model that they need."""
    assert isinstance(kind, SameModel)
    backend: WindowTranscriber = kind.backend
    return backend.transcribe_windows(windows)


def synthesize_batch(kind: Hashable, utterances: Sequence[Utterance]) -> Sequence[Audio | SpeechError]:
    """Synthesize a batch of utterances with the model that they need."""
    assert isinstance(kind, SameModel)
    backend: BatchSynthesizer = kind.backend
    return backend.synthesize_batch(utterances)
