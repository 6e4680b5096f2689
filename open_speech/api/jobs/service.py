"""The jobs of one server and the operations that clients may perform on them. All disk access is done in threads."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, Request

from open_speech.api.jobs.bodies import View, event_of, message_of
from open_speech.api.jobs.job import Job, Kind, Status
from open_speech.api.jobs.metrics import of_jobs
from open_speech.api.jobs.results import webhook_result
from open_speech.api.jobs.ssrf_guard import Guard
from open_speech.api.jobs.store import Bounds, JobStore, NewJob
from open_speech.api.jobs.webhooks import WebhookSender, key_of
from open_speech.api.jobs.work import Work
from open_speech.api.jobs.workers import Workers
from open_speech.concurrency.slots import Slots
from open_speech.config import Settings, SettingsError
from open_speech.engine import Engine
from open_speech.errors import InvalidValue, NotNow, UnknownItem
from open_speech.metrics.exposition import Dump, dumped

POLL_S = 0.3
"""Interval in seconds at which the state of a followed job is checked."""
FOLLOWERS = 64
"""Maximum number of clients that follow jobs at the same time."""
_MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class JobFilter:
    """Criteria of a list of jobs; None matches all."""

    status: Status | None = None
    type: Kind | None = None
    batch_id: str | None = None

    def matches(self, job: Job) -> bool:
        """Return whether a job matches."""
        pairs = ((self.status, job.status), (self.type, job.type), (self.batch_id, job.batch_id))
        return all(expected is None or expected == actual for expected, actual in pairs)


class Jobs:
    """Stored jobs, which are processed while `working`."""

    def __init__(self, settings: Settings) -> None:
        """Raise SettingsError for an invalid webhook secret, and for a database without the package for it."""
        bounds = Bounds(
            settings.os_batch_max_pending, settings.os_jobs_max_mb * _MIB, settings.os_jobs_retain_h * 3600, per_key=settings.per_key
        )
        self.store = store_of(settings, bounds)
        self.guard = Guard(allow_private=settings.os_webhook_allow_private)
        self.view = View(bounds.retain_s, settings.os_root_path)
        self._settings = settings
        self._webhooks = WebhookSender(self.guard, key_of(settings.os_webhook_secret))
        self._workers: Workers | None = None
        self._followers = Slots(FOLLOWERS, "", each=settings.per_key(FOLLOWERS), kind="streams of a job's progress")

    @asynccontextmanager
    async def working(self, engine: Engine) -> AsyncIterator[None]:
        """Process jobs with an engine until the block ends, first those that an earlier server left unfinished."""
        work = Work(engine, self._settings, self.store)
        workers = Workers(self.store, work.do, self._deliver, engine.pool.admission, limit=self._settings.os_batch_workers)
        self._workers = workers
        try:
            async with workers.working():
                yield
        finally:
            self._workers = None
            await asyncio.to_thread(self.store.close)

    async def accept(self, new: Sequence[NewJob]) -> list[Job]:
        """Store the jobs of one request. Raises the errors of JobStore.accept."""
        jobs = await asyncio.to_thread(self.store.accept, new)
        self._wake()
        return jobs

    async def find(self, owner: str, name: str) -> Job:
        """Find a job by its id. Raises UnknownItem, also for a job of another owner."""
        job = await asyncio.to_thread(self.store.get, name)
        if job is None or job.owner != owner:
            raise UnknownItem(f"There is no job `{name[:64]}`.", param="job_id")
        return job

    async def page(self, owner: str, criteria: JobFilter, *, after: str | None, limit: int) -> tuple[list[Job], bool]:
        """List the jobs of an owner, newest first, at most `limit` after the job `after`; also return whether there are more.

        Raises InvalidValue naming `after`.
        """
        if after is not None:
            try:
                await self.find(owner, after)
            except UnknownItem as unknown:
                raise InvalidValue(unknown.message, param="after") from None
        jobs = await asyncio.to_thread(self.store.all)
        found = [job for job in jobs if job.owner == owner and criteria.matches(job) and (after is None or job.id < after)]
        return found[:limit], len(found) > limit

    async def metrics(self) -> Dump:
        """Return the metrics of the jobs of all owners. Raises StorageFailed."""
        return dumped(of_jobs(await asyncio.to_thread(self.store.all)))

    async def cancel(self, owner: str, name: str) -> Job:
        """Cancel a job; a cancelled job is left as it is. Raises UnknownItem, or NotNow for a job that has ended."""
        await self.find(owner, name)
        job = await asyncio.to_thread(self.store.change, name, lambda job: job.cancelled(self.store.now()))
        if job is None:
            raise UnknownItem(f"There is no job `{name[:64]}`.", param="job_id")
        if job.status != "cancelled":
            raise NotNow(f"The job cannot be cancelled: its status is `{job.status}`.", param="job_id")
        self._wake()
        return job

    async def delete(self, owner: str, name: str) -> str:
        """Delete a job with its upload and its result, and return its id. An unfinished job is cancelled. Raises UnknownItem."""
        job = await self.find(owner, name)
        await asyncio.to_thread(self.store.remove, job.id)
        self._wake()
        return job.id

    async def follow(self, owner: str, name: str, engine: Engine) -> AsyncGenerator[dict[str, Any], None]:
        """Yield the state of a job, now and at every change, until it has ended, it is deleted, or the server shuts down.

        Raises UnknownItem, or Overloaded if too many clients follow jobs.
        """
        with self._followers.taken(owner):
            job: Job | None = await self.find(owner, name)
            reported: Job | None = None
            while job is not None:
                if job != reported:
                    reported = job
                    yield event_of(job, self.view)
                if job.is_over or engine.pool.admission.is_closed:
                    return
                await asyncio.sleep(POLL_S)
                job = await asyncio.to_thread(self.store.get, name)

    def _wake(self) -> None:
        if self._workers is not None:
            self._workers.wake()

    async def _deliver(self, job: Job) -> None:
        """Send the webhook of a job. Raises Undelivered."""
        assert job.webhook is not None
        output = await asyncio.to_thread(webhook_result, self.store, job) if job.webhook.with_result else None
        message = message_of(job, self.view, output)
        await self._webhooks.send(job.webhook.url, f"msg_{job.id.removeprefix('job_')}", message, self.store.now())


def store_of(settings: Settings, bounds: Bounds) -> JobStore:
    """Return the store of the settings: the jobs folder, or a database with it. Raises SettingsError if a package is missing."""
    folder = settings.os_jobs_dir.expanduser()
    if not settings.os_database_url:
        return JobStore(folder, bounds)
    try:
        from open_speech.api.jobs.postgres_store import PostgresJobStore  # noqa: PLC0415 - an optional package
    except ImportError as missing:
        raise SettingsError("OS_DATABASE_URL needs a package: pip install 'open-speech[postgres]'") from missing
    return PostgresJobStore(settings.os_database_url, folder, bounds)


async def _jobs(request: Request) -> Jobs:
    jobs: Jobs = request.app.state.jobs
    return jobs


JobsDep = Annotated[Jobs, Depends(_jobs)]
