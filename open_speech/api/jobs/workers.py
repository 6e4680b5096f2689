"""Works jobs off, oldest first, a few at a time, and sends their webhooks. What is interrupted is begun again, here or after a restart."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any, Protocol

from open_speech.api.jobs.job import MOST_RUNS, RUN_AGAIN_S, Job, Result
from open_speech.api.jobs.store import Claim, JobStore
from open_speech.api.jobs.webhooks import Undelivered
from open_speech.api.jobs.work import Tell
from open_speech.errors import (
    BackendFailed,
    BackendTimeout,
    BackendUnavailable,
    Overloaded,
    SpeechError,
    Stopping,
    StorageFailed,
    WeightsUnavailable,
)

log = logging.getLogger("open_speech.jobs")

PULSE_S = 0.25
"""Seconds between two looks at the jobs that are worked on: was one cancelled, is the server stopping?"""
LOOK_S = 10.0
"""Seconds between two looks at all jobs, when nothing calls for one: another process may have left some."""
SWEEP_S = 60.0
"""Seconds between two times that what is old is deleted."""
TELL_S = 0.5
"""Seconds between two notes of how far a job is."""
BUSY_S = 2.0
"""Seconds after which a job that the backend had no room for tries again, at least."""
DELIVERIES = 4
"""Webhooks that are sent at once."""
STOP_S = 20.0
"""Seconds that work may take to end when it is told to."""
_PASSING = (BackendUnavailable, BackendTimeout, WeightsUnavailable)

Do = Callable[[Job, Tell], Awaitable[Result]]
Deliver = Callable[[Job], Awaitable[None]]
"""Raises Undelivered."""


class Doors(Protocol):
    """What is looked at to know that the server is stopping."""

    @property
    def is_closed(self) -> bool:
        """Whether nothing new is let in."""
        ...


class Workers:
    """At most `limit` jobs at once. One event loop; the disk is touched in threads."""

    def __init__(  # noqa: PLR0913 - its parts
        self, store: JobStore, do: Do, deliver: Deliver, doors: Doors, *, limit: int, clock: Callable[[], float] = time.time
    ) -> None:
        self._store = store
        self._do = do
        self._deliver = deliver
        self._doors = doors
        self._limit = limit
        self._clock = clock
        self._wake = asyncio.Event()
        self._work: dict[str, asyncio.Task[Result]] = {}
        """What the engine is at, by job."""
        self._jobs: dict[str, asyncio.Task[None]] = {}
        self._deliveries: dict[str, asyncio.Task[None]] = {}
        self._elsewhere: dict[str, float] = {}
        """Jobs that another process holds, and when to look again."""
        self._swept_at = 0.0
        self._stopping = False

    def wake(self) -> None:
        """Say that there is something to do, or to stop."""
        self._wake.set()

    @asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        """Work until the block ends; what is under way then is put back, to be begun again."""
        loop = asyncio.create_task(self._loop())
        try:
            yield
        finally:
            loop.cancel()
            await asyncio.wait({loop})
            await self._stop()

    async def _loop(self) -> None:
        look_at = 0.0
        while True:
            try:
                woken = self._wake.is_set()
                self._wake.clear()
                if self._doors.is_closed:
                    self._interrupt()
                else:
                    await self._stop_the_cancelled()
                    if woken or self._clock() >= look_at:
                        look_at = self._clock() + LOOK_S
                        look_at = await self._look()
            except (SpeechError, OSError) as error:
                log.error("cannot read the stored jobs: %s", error)
            with suppress(TimeoutError):
                async with asyncio.timeout(PULSE_S):
                    await self._wake.wait()

    async def _look(self) -> float:
        """Begin what can be begun; gives the time of the next look."""
        now = self._clock()
        if now >= self._swept_at + SWEEP_S:
            self._swept_at = now
            await asyncio.to_thread(self._store.sweep)
        jobs = await asyncio.to_thread(self._store.all)
        self._elsewhere = {name: until for name, until in self._elsewhere.items() if until > now}
        next_at = now + LOOK_S
        for job in reversed(jobs):
            if job.id in self._jobs or job.id in self._deliveries or job.id in self._elsewhere:
                continue
            if job.wants_work(now):
                if len(self._jobs) < self._limit:
                    self._begin(self._jobs, job.id, self._one_job(job.id))
            elif job.wants_delivery(now):
                if len(self._deliveries) < DELIVERIES:
                    self._begin(self._deliveries, job.id, self._one_delivery(job.id))
            elif job.next_at is not None:
                next_at = min(next_at, job.next_at)
        return next_at

    def _begin(self, tasks: dict[str, asyncio.Task[None]], name: str, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        tasks[name] = task

        def ended(task: asyncio.Task[None]) -> None:
            del tasks[name]
            self.wake()
            if not task.cancelled() and (failure := task.exception()) is not None:
                # Nothing waits for the task. The job stays as it is, and is looked at again.
                log.error("job %s failed: %s", name, failure, exc_info=failure)
                self._elsewhere[name] = self._clock() + LOOK_S

        task.add_done_callback(ended)

    async def _one_job(self, name: str) -> None:
        claim = await self._claimed(name)
        if claim is None:
            return
        try:
            job = await asyncio.to_thread(self._store.change, name, lambda job: job.begun(self._clock()))
            if job is None or job.is_over:
                return
            if self._stopping:
                await asyncio.to_thread(self._store.change, name, lambda job: job.put_back(self._clock(), counts=False))
                return
            work = self._work[name] = asyncio.ensure_future(self._do(job, self._teller(name)))
            try:
                await asyncio.wait({work})
            finally:
                del self._work[name]
            after = await asyncio.to_thread(self._store.change, name, self._ending(work))
            if after is not None:
                log.info("%s %s: %s, %.1f s of audio", after.type, name, after.status, after.audio_s)
        finally:
            claim.close()

    def _ending(self, work: asyncio.Task[Result]) -> Callable[[Job], Job]:
        """Say what becomes of a job whose work has ended in this way."""
        now = self._clock()
        if work.cancelled():
            return lambda job: job.put_back(now, counts=False)
        match work.exception():
            case None:
                result = work.result()
                return lambda job: job.completed(now, result)
            case Stopping():
                return lambda job: job.put_back(now, counts=False)
            case Overloaded(retry_after_s=wait_s):
                return lambda job: job.put_back(now + max(BUSY_S, wait_s or 0.0), counts=False)
            case SpeechError() as error:
                return lambda job: _failed(job, error, now)
            case failure:
                log.error("a job failed", exc_info=failure)
                return lambda job: job.failed(now, BackendFailed("The job failed with an internal error: see the server log."))

    async def _one_delivery(self, name: str) -> None:
        claim = await self._claimed(name)
        if claim is None:
            return
        try:
            job = await asyncio.to_thread(self._store.get, name)
            if job is None or not job.wants_delivery(self._clock()):
                return
            try:
                await self._deliver(job)
            except Undelivered as failure:
                note, again = failure.note, failure.again
                log.warning("the webhook of %s was not delivered: %s", name, note)
                await asyncio.to_thread(self._store.change, name, lambda job: job.undelivered(self._clock(), note, again=again))
            else:
                await asyncio.to_thread(self._store.change, name, lambda job: job.delivered())
        finally:
            claim.close()

    async def _claimed(self, name: str) -> Claim | None:
        claim = await asyncio.to_thread(self._store.claim, name)
        if claim is None:
            self._elsewhere[name] = self._clock() + LOOK_S
        return claim

    def _teller(self, name: str) -> Tell:
        told_at = 0.0

        async def tell(audio_s: float, total_s: float | None, progress: float) -> None:
            nonlocal told_at
            if self._clock() - told_at < TELL_S:
                return
            told_at = self._clock()
            # Only a courtesy: a disk that is full just now must not end the work.
            with suppress(StorageFailed):
                await asyncio.to_thread(self._store.change, name, lambda job: job.advanced(audio_s, total_s, progress), lasting=False)

        return tell

    async def _stop_the_cancelled(self) -> None:
        if not self._work:
            return
        names = list(self._work)
        jobs = await asyncio.to_thread(lambda: [self._store.get(name) for name in names])
        for name, job in zip(names, jobs, strict=True):
            if (job is None or job.is_over) and (work := self._work.get(name)) is not None:
                work.cancel()

    def _interrupt(self) -> None:
        for work in self._work.values():
            work.cancel()

    async def _stop(self) -> None:
        self._stopping = True
        self._interrupt()
        for delivery in self._deliveries.values():
            delivery.cancel()
        left = {*self._jobs.values(), *self._deliveries.values()}
        if left and (late := (await asyncio.wait(left, timeout=STOP_S))[1]):
            log.error("%d jobs did not stop within %g s", len(late), STOP_S)


def _failed(job: Job, error: SpeechError, now: float) -> Job:
    if isinstance(error, _PASSING) and job.runs < MOST_RUNS:
        return job.put_back(now + RUN_AGAIN_S[min(job.runs, len(RUN_AGAIN_S)) - 1], counts=True)
    return job.failed(now, error)
