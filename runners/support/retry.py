"""Asking a server that may be busy, starting or gone: again after a while, as long as nothing of its answer has come."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from open_speech.errors import BackendFailed, SpeechError

log = logging.getLogger("open_speech.peer")

T = TypeVar("T")
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 8.0
"""Seconds before the first repeat, doubled with each; a server that says how long to wait is believed up to the longest."""


class Busy(Exception):
    """The server did not answer, and may if asked again: `error` is what it comes to if it never does."""

    def __init__(self, error: SpeechError, wait_s: float = 0.0) -> None:
        """`wait_s`: how long, in seconds, the server wants to be left alone."""
        super().__init__(error.message)
        self.error = error
        self.wait_s = wait_s


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a server is asked, and how often."""

    timeout_s: float
    """Seconds for one question, repeats included."""
    retries: int
    pause: Callable[[float], object] = time.sleep
    """Waits so many seconds before the next attempt."""

    def get(self, question: Callable[[float], T]) -> T:
        """Ask for one thing; takes and raises what `ask` does."""

        def answer(deadline: float) -> Iterator[T]:
            yield question(deadline)

        return next(self.ask(answer))

    def ask(self, question: Callable[[float], Iterator[T]]) -> Iterator[T]:
        """Yield an answer as it comes; a question gets its deadline, a time of `time.monotonic`, and raises Busy for what may pass.

        Only a question of which nothing has been answered is asked again. Raises the error of the last Busy, BackendFailed for one in the
        midst of an answer, and whatever else is raised.
        """
        deadline = time.monotonic() + self.timeout_s
        for attempt in range(self.retries + 1):
            answer = question(deadline)
            try:
                first = next(answer)
            except StopIteration:
                return
            except Busy as busy:
                wait = max(busy.wait_s, FIRST_PAUSE_S * 2**attempt * random.uniform(0.8, 1.2))
                if attempt == self.retries or wait > LONGEST_PAUSE_S or time.monotonic() + wait > deadline:
                    raise busy.error from busy
                log.warning("%s Attempt %d: retrying in %.1f s", busy, attempt + 1, wait)
                self.pause(wait)
                continue
            yield first
            try:
                yield from answer
            except Busy as busy:
                raise BackendFailed(f"Disconnected in the middle of a response: {busy}") from busy
            return
