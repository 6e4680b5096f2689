"""Retries of calls to a server that may be busy, starting or unavailable, as long as no part of the response has arrived."""

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
"""Seconds before the first retry, doubled with each one, and the longest wait that a server may request."""


class Busy(Exception):
    """A temporary failure of the server, after which a retry may succeed; `error` is raised if no retry does."""

    def __init__(self, error: SpeechError, wait_s: float = 0.0) -> None:
        """`wait_s`: minimum seconds before the next attempt, as requested by the server."""
        super().__init__(error.message)
        self.error = error
        self.wait_s = wait_s


@dataclass(frozen=True, slots=True)
class Patience:
    """The timeout and the retries of calls to a server."""

    timeout_s: float
    """Seconds for one call, including retries."""
    retries: int
    pause: Callable[[float], object] = time.sleep
    """Blocks for the given seconds before the next attempt."""

    def get(self, question: Callable[[float], T]) -> T:
        """Return the single result of a call, with the retries and errors of `ask`."""

        def answer(deadline: float) -> Iterator[T]:
            yield question(deadline)

        return next(self.ask(answer))

    def ask(self, question: Callable[[float], Iterator[T]]) -> Iterator[T]:
        """Yield the response to a call as it arrives. `question(deadline)`, with a time of `time.monotonic`, raises Busy to be retried.

        Only a call without any part of a response is retried. Raises the error of the last Busy, BackendFailed for Busy in the middle of
        a response, and all other exceptions of `question`.
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
