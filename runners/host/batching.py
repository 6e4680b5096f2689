"""Windows of all requests in flight -> batches, fairly: who asked little is not kept waiting by who asked much.

BentoML's own adaptive batching decodes one batch at a time per process, knows no order but arrival, is not there for a backend in this
process, and makes single calls up to 45 % slower while it learns. A queue of our own needs none of that: worker threads take what waits.
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
from open_speech.errors import SpeechError
from runners.host.call_queue import fail

W = TypeVar("W")
R = TypeVar("R")

MOST_UNLIKE = 1.5
"""Windows whose lengths differ by more than this factor do not share a batch: the short one would be decoded in the long one's context."""
SECONDS_PER_CHAR = 0.06
"""Estimated length of speech, by which pieces of text are alike enough to be spoken together."""


@dataclass(frozen=True, slots=True)
class Ask(Generic[W]):
    """One window and what decides when, and with whom, it is decoded."""

    window: W
    seconds: float
    """Its length."""
    kind: Hashable
    """Only windows of one kind share a batch: the model they need."""
    caller: str
    """The request it belongs to."""
    urgency: int = 0
    """What is more urgent goes first."""


@dataclass
class _Waiting(Generic[W, R]):
    ask: Ask[W]
    turn: float
    future: Future[R] = field(default_factory=Future)


class Batches(Generic[W, R]):
    """The queue and its worker threads. A worker takes the window whose turn it is, and others like it, and decodes them together.

    Turns are start-time fair queueing: a request's next window comes after as much work of others as its last one was long.
    """

    def __init__(self, decode: Callable[[Hashable, Sequence[W]], Sequence[R]], *, size: int, workers: int) -> None:
        """`decode(kind, windows)` gives one result each; at most `size` windows at once, in each of `workers` threads."""
        self._decode = decode
        self._size = size
        self._workers = workers
        self._waiting: list[_Waiting[W, R]] = []
        self._changed = threading.Condition()
        self._clock = 0.0
        self._next_turn: dict[str, float] = {}
        self._threads: list[threading.Thread] = []
        self.sizes: Counter[int] = Counter()
        """How many batches of each size were decoded."""

    def submit(self, ask: Ask[W]) -> Future[R]:
        """Put a window into the queue; cancelling the future takes it out as long as it waits."""
        with self._changed:
            turn = max(self._clock, self._next_turn.get(ask.caller, 0.0))
            self._next_turn[ask.caller] = turn + ask.seconds
            waiting: _Waiting[W, R] = _Waiting(ask, turn)
            self._waiting.append(waiting)
            self._start_threads()
            self._changed.notify()
        return waiting.future

    def give_up(self, future: Future[Any], error: Exception) -> None:
        """Take a window out and fail it; nothing happens if it does not wait any more."""
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
            # In a call of its own: a worker that waits must not hold the last windows, and with them their model.
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
        except BaseException as failure:  # noqa: BLE001 - handed to everyone who waits; a worker thread must not die of it
            for waiting in running:
                waiting.future.set_exception(failure)
            return
        for waiting, result in zip(running, results, strict=True):
            waiting.future.set_result(result)

    def _take(self) -> list[_Waiting[W, R]]:
        """Take the window whose turn it is and the next in order that are like it."""
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
