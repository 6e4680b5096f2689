"""Run jobs, oldest first, a few at a time, and send their webhooks. Interrupted jobs are started again, also after a restart."""

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
from open_speech.api.jobs.work import ReportProgress
from open_speech.errors import (
    BackendFailed,
    BackendTimeout,
    BackendUnavailable,
    DatabaseUnavailable,
    Overloaded,
    SpeechError,
    Stopping,
    StorageFailed,
    WeightsUnavailable,
)

log = logging.getLogger("open_speech.jobs")

PULSE_S = 0.25
"""Interval in seconds at which running jobs are checked for cancellation and the server for shutdown."""
POLL_S = 10.0
"""Interval in seconds at which all jobs are read without a wake-up: another process may have left some."""
SWEEP_S = 60.0
"""Interval in seconds at which expired jobs are deleted."""
PROGRESS_S = 0.5
"""Minimum interval in seconds between two stored progress values of a job."""
BUSY_S = 2.0
"""Minimum delay in seconds before a job is retried that an overloaded backend rejected."""
DELIVERIES = 4
"""Maximum number of webhooks that are sent at the same time."""
STOP_S = 20.0
"""Maximum time in seconds that jobs may take to stop at shutdown."""
_TRANSIENT = (BackendUnavailable, BackendTimeout, WeightsUnavailable)

Run = Callable[[Job, ReportProgress], Awaitable[Result]]
Deliver = Callable[[Job], Awaitable[None]]
"""Sends the webhook of a job. Raises Undelivered."""


class Admission(Protocol):
    """Indicates whether the server is shutting down."""

    @property
    def is_closed(self) -> bool:
        """Whether new requests are rejected."""
        ...


class Workers:
    """Runs at most `limit` jobs at the same time. Used in one event loop; disk access is done in threads."""

    def __init__(  # noqa: PLR0913 - its dependencies
        self, store: JobStore, run: Run, deliver: Deliver, admission: Admission, *, limit: int, clock: Callable[[], float] = time.time
    ) -> None:
        self._store = store
        self._run = run
        self._deliver = deliver
        self._admission = admission
        self._limit = limit
        self._clock = clock
        self._wake = asyncio.Event()
        self._work: dict[str, asyncio.Task[Result]] = {}
        """The work of the engine, by job id."""
        self._claims: dict[str, Claim] = {}
        """The claims of that work."""
        self._jobs: dict[str, asyncio.Task[None]] = {}
        self._deliveries: dict[str, asyncio.Task[None]] = {}
        self._skipped_until: dict[str, float] = {}
        """Jobs that are skipped, because another process holds them or they failed unexpectedly, until the given time."""
        self._swept_at = 0.0
        self._stopping = False

    def wake(self) -> None:
        """Have the stored jobs read: there is one to start or to stop."""
        self._wake.set()

    @asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        """Run jobs until the block ends. Jobs that are running then are queued again."""
        loop = asyncio.create_task(self._loop())
        try:
            yield
        finally:
            loop.cancel()
            await asyncio.wait({loop})
            await self._stop()

    async def _loop(self) -> None:
        poll_at = 0.0
        while True:
            try:
                woken = self._wake.is_set()
                self._wake.clear()
                if self._admission.is_closed:
                    self._interrupt()
                else:
                    await self._stop_the_cancelled()
                    if woken or self._clock() >= poll_at:
                        poll_at = self._clock() + POLL_S
                        poll_at = await self._poll()
            except (SpeechError, OSError) as error:
                log.error("cannot read the stored jobs: %s", error)
            with suppress(TimeoutError):
                async with asyncio.timeout(PULSE_S):
                    await self._wake.wait()

    async def _poll(self) -> float:
        """Start all jobs and webhooks that can be started, and return the time of the next poll."""
        now = self._clock()
        if now >= self._swept_at + SWEEP_S:
            self._swept_at = now
            await asyncio.to_thread(self._store.sweep)
        jobs = await asyncio.to_thread(self._store.all)
        self._skipped_until = {name: until for name, until in self._skipped_until.items() if until > now}
        next_at = now + POLL_S
        for job in reversed(jobs):
            if job.id in self._jobs or job.id in self._deliveries or job.id in self._skipped_until:
                continue
            if job.wants_work(now):
                if len(self._jobs) < self._limit:
                    self._start(self._jobs, job.id, self._one_job(job.id))
            elif job.wants_delivery(now):
                if len(self._deliveries) < DELIVERIES:
                    self._start(self._deliveries, job.id, self._one_delivery(job.id))
            elif job.next_at is not None:
                next_at = min(next_at, job.next_at)
        return next_at

    def _start(self, tasks: dict[str, asyncio.Task[None]], name: str, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        tasks[name] = task

        def ended(task: asyncio.Task[None]) -> None:
            del tasks[name]
            self.wake()
            if not task.cancelled() and (failure := task.exception()) is not None:
                # Nothing waits for the task. The job stays as it is and is started again later.
                log.error("job %s failed: %s", name, failure, exc_info=failure)
                self._skipped_until[name] = self._clock() + POLL_S

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
            work = self._work[name] = asyncio.ensure_future(self._run(job, self._progress_reporter(name)))
            self._claims[name] = claim
            try:
                await asyncio.wait({work})
            finally:
                del self._work[name], self._claims[name]
            after = await self._recorded(name, claim, self._outcome(work))
            if after is not None:
                log.info("%s %s: %s, %.1f s of audio", after.type, name, after.status, after.audio_s)
        finally:
            await asyncio.to_thread(claim.close)

    async def _recorded(self, name: str, claim: Claim, how: Callable[[Job], Job]) -> Job | None:
        """Store the outcome of a job, and wait for a database that does not answer; None if another process has the job meanwhile."""
        while not claim.is_lost:
            try:
                return await asyncio.to_thread(self._store.change, name, how)
            except DatabaseUnavailable:
                if self._stopping:
                    raise
                await asyncio.sleep(PULSE_S)
        log.warning("job %s: the claim was lost, and another server continues it", name)
        return None

    def _outcome(self, work: asyncio.Task[Result]) -> Callable[[Job], Job]:
        """Return the change of the state of a job whose work has ended."""
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
                await self._recorded(name, claim, lambda job: job.delivered())
        finally:
            await asyncio.to_thread(claim.close)

    async def _claimed(self, name: str) -> Claim | None:
        claim = await asyncio.to_thread(self._store.claim, name)
        if claim is None:
            self._skipped_until[name] = self._clock() + POLL_S
        return claim

    def _progress_reporter(self, name: str) -> ReportProgress:
        reported_at = 0.0

        async def report(audio_s: float, total_s: float | None, progress: float) -> None:
            nonlocal reported_at
            if self._clock() - reported_at < PROGRESS_S:
                return
            reported_at = self._clock()
            # Progress is not essential: a full disk must not end the work.
            with suppress(StorageFailed):
                await asyncio.to_thread(self._store.change, name, lambda job: job.advanced(audio_s, total_s, progress), lasting=False)

        return report

    async def _stop_the_cancelled(self) -> None:
        for name, claim in self._claims.items():
            if claim.is_lost:
                self._work[name].cancel()
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
    if isinstance(error, _TRANSIENT) and job.runs < MOST_RUNS:
        return job.put_back(now + RUN_AGAIN_S[min(job.runs, len(RUN_AGAIN_S)) - 1], counts=True)
    return job.failed(now, error)
