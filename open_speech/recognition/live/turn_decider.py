"""The decision whether a turn is complete: a turn detector, asked in a worker thread and within a deadline."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Literal, Protocol, TypeVar

from open_speech.audio import Audio
from open_speech.metrics.meter import Meter

T = TypeVar("T")

log = logging.getLogger("open_speech.turns")

TIMER = "timer"
"""The name of the detector that never decides, so that the length of the silence does."""
DEADLINE_S = 0.5
"""Seconds that a decision may take. With the 0.2 s of a pause, that is the silence which ends a turn without a detector."""
THREADS = 2
"""Decisions that are made at the same time; others wait, within their deadline."""
FAILURES, REST_S = 3, 30.0
"""Failures in a row after which a detector is not asked for this many seconds, so that turns do not wait for it."""


class TurnDetector(Protocol):
    """Decides from the audio of a turn whether it is complete. Blocking; opened once, and called from several threads."""

    def is_complete(self, audio: Audio) -> bool:
        """Return whether the speaker has finished.

        `audio` is at 16,000 Hz and holds one turn of one speaker: half a second before it if there is as much, at most the last 8 seconds,
        and the pause of about 0.2 s at its end. Called again for the whole turn after each pause.
        """
        ...


class TurnDecider:
    """Asks the turn detector of a server, for all its sessions. A detector that fails or is late leaves the turn to the silence."""

    def __init__(
        self,
        name: str = TIMER,
        open: Callable[[], TurnDetector] | None = None,
        *,
        meter: Meter | None = None,
        deadline_s: float = DEADLINE_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`open` returns the detector `name`. It blocks, is called in a thread at first use, and again after it has raised an exception."""
        self.name = name
        self._open = open
        self._meter = meter
        self._deadline_s = deadline_s
        self._clock = clock
        self._lock = threading.Lock()
        self._detector: TurnDetector | None = None
        self._slots = threading.Semaphore(THREADS)
        self._failures = 0
        self._resting_until = 0.0

    @property
    def is_semantic(self) -> bool:
        """Whether there is a detector, so that turns may end by their meaning."""
        return self._open is not None

    def prepare(self) -> None:
        """Open the detector in a thread, before its first question; never waits. A failure is reported at that question."""
        if self._open is not None and self._detector is None:
            self._start(self._opened).add_done_callback(lambda opening: opening.exception())

    async def is_complete(self, audio: Audio) -> bool | None:
        """Return whether the turn in the audio is complete; None without a detector, if it fails, or after the deadline. Never raises."""
        if self._open is None or self._clock() < self._resting_until:
            return None
        began = self._clock()
        try:
            async with asyncio.timeout(self._deadline_s):
                found = await self._start(lambda: bool(self._opened().is_complete(audio)))
        except TimeoutError:
            self._failed(f"no decision within {self._deadline_s:g} s", "late", began)
            return None
        except Exception as error:  # noqa: BLE001 - the code of a detector, perhaps of another package: a session must survive it
            self._failed(" ".join(f"{type(error).__name__}: {error}".split()), "failed", began)
            return None
        self._failures = 0
        self._count("complete" if found else "incomplete", began)
        return found

    def _opened(self) -> TurnDetector:
        with self._lock:
            if self._detector is None:
                assert self._open is not None
                self._detector = self._open()
            return self._detector

    def _start(self, work: Callable[[], T]) -> asyncio.Future[T]:
        """Do some work in a thread of its own. A thread that hangs must not delay the end of the process, as those of a pool would."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()

        def run() -> None:
            if not self._slots.acquire(timeout=self._deadline_s):
                return
            try:
                result, error = [work()], None
            except Exception as failure:  # noqa: BLE001 - raised to the one who awaits the future
                result, error = [], failure
            finally:
                self._slots.release()
            with suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(settle, result, error)

        def settle(result: list[T], error: Exception | None) -> None:
            if future.done():
                return
            if error is not None:
                future.set_exception(error)
            else:
                future.set_result(result[0])

        threading.Thread(target=run, name="turn-detector", daemon=True).start()
        return future

    def _failed(self, reason: str, outcome: Literal["late", "failed"], began: float) -> None:
        self._count(outcome, began)
        self._failures += 1
        if self._failures == 1:
            log.warning("the turn detector %s has failed, and the silence decides instead: %s", self.name, reason)
        if self._failures >= FAILURES:
            self._resting_until = self._clock() + REST_S

    def _count(self, outcome: Literal["complete", "incomplete", "late", "failed"], began: float) -> None:
        if self._meter is not None:
            self._meter.turn_decided(outcome, self._clock() - began)
