"""Jobs on disk: a folder for each job, with its input, its state and its result. Blocking; several processes may share the store.

`<id>/order.json` contains the accepted job and never changes; `job.json` is its current state and is replaced atomically. If `job.json` is
damaged, the job has its initial state and is run again. A process that works on a job holds a lock on `<id>/lock`, which the kernel
releases when the process dies.
"""

from __future__ import annotations

import fcntl
import logging
import os
import re
import secrets
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, Self

from pydantic import ValidationError

from open_speech.api.jobs import disk
from open_speech.api.jobs.job import Job, JobInput
from open_speech.concurrency.slots import SHARE
from open_speech.errors import KeyReused, Overloaded, StorageFull
from open_speech.security.private_files import FILE_MODE, FOLDER_MODE, make_private_folder, sync

log = logging.getLogger("open_speech.jobs")

MOST_JOBS = 10_000
"""Maximum number of stored jobs; more are rejected."""
RETRY_S = 30.0
"""Seconds after which clients should retry when too many jobs wait."""
_STALE_S = 3600
"""Seconds after which incomplete folders that a crash left are deleted."""
JOB_ID = re.compile(r"job_[0-9a-f]{32}\Z")
_INPUT, _STATE, _LOCK, _UPLOAD = "order.json", "job.json", "lock", "upload"


@dataclass(frozen=True, slots=True)
class Bounds:
    """Limits of a store."""

    pending: int
    """Jobs that have not ended."""
    total_bytes: int
    retain_s: float
    """Seconds for which a job is stored after its end."""
    per_key: Callable[[int], int] = int
    """Returns the share of a limit that one owner may use."""


@dataclass(frozen=True, slots=True)
class NewJob:
    """A job to be accepted; the store assigns its id."""

    job: Job
    fields: dict[str, Any]
    source: bytes | Path | None = None


class Claim(Protocol):
    """The exclusive right to process one job, held until `close`."""

    @property
    def is_lost(self) -> bool:
        """Whether another process may hold it now, so that the work must stop."""
        ...

    def close(self) -> None:
        """Give it back; never raises."""
        ...


class FileClaim:
    """A claim by a lock of the kernel, which no other process takes away."""

    is_lost = False

    def __init__(self, handle: int) -> None:
        self._handle = handle

    def close(self) -> None:
        """Release the lock."""
        os.close(self._handle)


class JobStore:
    """The jobs in one folder, which is created with the first job."""

    def __init__(self, folder: Path, bounds: Bounds, *, clock: Callable[[], float] = time.time) -> None:
        """`clock` returns Unix seconds."""
        self.bounds = bounds
        self._folder = folder
        self._clock = clock
        self._lock = threading.RLock()
        self._cache: dict[str, tuple[tuple[int, int], Job]] = {}
        """Jobs that were read, each with the inode and modification time of its file."""

    def now(self) -> float:
        """Return the time in Unix seconds."""
        return self._clock()

    def close(self) -> None:
        """Give back what the store holds open, which is nothing here."""

    def all(self) -> list[Job]:
        """Read all jobs, newest first; damaged ones are left out. Raises StorageFailed if the folder cannot be read."""
        with disk.storing():
            try:
                names = sorted((name for name in os.listdir(self._folder) if JOB_ID.match(name)), reverse=True)
            except FileNotFoundError:
                return []
        jobs = [job for name in names if (job := self.get(name)) is not None]
        before = self._cache
        self._cache = {job.id: cached for job in jobs if (cached := before.get(job.id)) is not None}
        return jobs

    def get(self, name: str) -> Job | None:
        """Read the job with an id; None if there is none or the id is invalid."""
        if not JOB_ID.match(name):
            return None
        for file in (_STATE, _INPUT):
            try:
                stat = (self._folder / name / file).stat()
                stamp = (stat.st_ino, stat.st_mtime_ns)
                if (cached := self._cache.get(name)) is None or cached[0] != stamp:
                    cached = (stamp, self._read(name, file))
                    self._cache[name] = cached
                return cached[1]
            except FileNotFoundError:
                continue
            except (OSError, ValidationError):
                log.warning("the file %s of the job %s is damaged", file, name)
        return None

    def input_of(self, name: str) -> JobInput:
        """Read the request of a job. Raises StorageFailed."""
        with disk.storing():
            try:
                return JobInput.model_validate_json((self._folder / name / _INPUT).read_bytes())
            except ValidationError as damaged:
                raise OSError(0, "its stored request is damaged") from damaged

    def upload(self, name: str) -> Path:
        """Return the path of the upload of a job."""
        return self.path(name, _UPLOAD)

    def path(self, name: str, file: str) -> Path:
        """Return the path of a file of a job."""
        assert JOB_ID.match(name)
        return self._folder / name / file

    def accept(self, new: Sequence[NewJob]) -> list[Job]:
        """Store the jobs of one request, all or none. They are on the disk when this method returns.

        A request with a known idempotency key returns the jobs that it created before. Raises Overloaded, StorageFull, KeyReused or
        StorageFailed.
        """
        idempotency = new[0].job.idempotency
        if idempotency is None or all(job.idempotency != idempotency for job in self.all()):
            self._check_room(new)
        staged: list[JobInput] = []
        try:
            with disk.storing():
                make_private_folder(self._folder)
                for one in new:
                    staged.append(self._stage(one))
                with self._exclusive():
                    before = self._of_key(staged, idempotency)
                    if not before:
                        self._check_room(new)
                    existing = {job.batch_index for job in before}
                    missing = [job_input for job_input in staged if job_input.job.batch_index not in existing]
                    self._publish(missing)
        finally:
            for job_input in staged:
                shutil.rmtree(self._staging_path(job_input.job.id), ignore_errors=True)
        return sorted([*before, *(job_input.job for job_input in missing)], key=lambda job: job.batch_index)

    def change(self, name: str, how: Callable[[Job], Job], *, lasting: bool = True) -> Job | None:
        """Change the state of a job under a lock and return the new state; None if the job is deleted. Raises StorageFailed.

        When the job ends, its upload is deleted: it is no longer needed and may be private.
        """
        with disk.storing(), self._exclusive():
            before = self.get(name)
            if before is None:
                return None
            after = how(before)
            if after != before:
                disk.write(self.path(name, _STATE), after.model_dump_json().encode(), lasting=lasting)
                # Two changes within one tick of the file system's clock may have the same stamp.
                self._cache.pop(name, None)
            if after.is_over and not before.is_over:
                self.upload(name).unlink(missing_ok=True)
            return after

    def remove(self, name: str) -> bool:
        """Delete a job and all its files; return False if it does not exist. Raises StorageFailed."""
        with disk.storing(), self._exclusive():
            if self.get(name) is None:
                return False
            self.path(name, "").rename(self._staging_path(name))
            sync(self._folder)
        shutil.rmtree(self._staging_path(name), ignore_errors=True)
        return True

    def claim(self, name: str) -> Claim | None:
        """Lock a job for processing; None if another process holds the lock, or the job is deleted."""
        try:
            handle = os.open(self.path(name, _LOCK), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
        except FileNotFoundError:
            return None
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            return None
        return FileClaim(handle)

    def sweep(self) -> None:
        """Delete expired jobs, and incomplete folders that a crash left."""
        now = self._clock()
        for job in self.all():
            if job.is_expired(now, self.bounds.retain_s):
                self.remove(job.id)
        if not self._folder.is_dir():
            return
        for name in os.listdir(self._folder):
            path = self._folder / name
            with suppress(FileNotFoundError):  # another process sweeps as well
                half_done = name.startswith(".job_") and path.stat().st_mtime < now - _STALE_S
                beyond_repair = bool(JOB_ID.match(name)) and path.stat().st_mtime < now - self.bounds.retain_s and self.get(name) is None
                if half_done or beyond_repair:
                    shutil.rmtree(path, ignore_errors=True)

    def _read(self, name: str, file: str) -> Job:
        data = (self._folder / name / file).read_bytes()
        return Job.model_validate_json(data) if file == _STATE else JobInput.model_validate_json(data).job

    def _staging_path(self, name: str) -> Path:
        return self._folder / f".{name}"

    def _stage(self, new: NewJob) -> JobInput:
        now = self._clock()
        name = f"job_{int(now * 1e9):016x}{secrets.token_hex(8)}"
        part = self._staging_path(name)
        part.mkdir(mode=FOLDER_MODE)
        try:
            digest = None if new.source is None else disk.take_in(new.source, part / _UPLOAD)
            found = {"id": name, "created_at": int(now), "size": disk.size_of(new.source)}
            job_input = JobInput(
                job=new.job.model_copy(update={**found, "fingerprint": f"{new.job.fingerprint}{digest or ''}"}), fields=new.fields
            )
            disk.write(part / _INPUT, job_input.model_dump_json().encode())
        except BaseException:
            shutil.rmtree(part, ignore_errors=True)
            raise
        return job_input

    def _publish(self, staged: Sequence[JobInput]) -> None:
        """Make staged jobs visible, under the lock."""
        for job_input in staged:
            self._staging_path(job_input.job.id).rename(self._folder / job_input.job.id)
        sync(self._folder)

    def _of_key(self, staged: Sequence[JobInput], idempotency: str | None) -> list[Job]:
        """Find the jobs that were created with the same key before; some may be missing after a crash."""
        if idempotency is None:
            return []
        before = [job for job in self.all() if job.idempotency == idempotency]
        fingerprints = {job_input.job.batch_index: job_input.job.fingerprint for job_input in staged}
        if any(fingerprints.get(job.batch_index) != job.fingerprint for job in before):
            raise KeyReused("This `Idempotency-Key` was already used with a different request.")
        return before

    def _check_room(self, new: Sequence[NewJob]) -> None:
        jobs = self.all()
        self._check_share([job for job in jobs if job.owner == new[0].job.owner], new)
        pending = sum(not job.is_over for job in jobs)
        if pending + len(new) > self.bounds.pending:
            raise Overloaded(f"{pending} jobs are waiting; the limit is {self.bounds.pending}.", retry_after_s=RETRY_S)
        if len(jobs) + len(new) > MOST_JOBS:
            raise StorageFull(f"{len(jobs)} jobs are stored, which is the limit: delete some.")
        new_bytes = sum(disk.size_of(one.source) for one in new)
        if sum(job.bytes_kept for job in jobs) + new_bytes > self.bounds.total_bytes:
            raise StorageFull("The stored jobs have reached OS_JOBS_MAX_MB: delete some.")
        if new_bytes > disk.free_bytes(self._folder):
            raise StorageFull("The server's disk is full.")

    def _check_share(self, own: Sequence[Job], new: Sequence[NewJob]) -> None:
        """Raise Overloaded or StorageFull if an owner would exceed the share of one API key."""
        share = self.bounds.per_key
        pending, most = sum(not job.is_over for job in own), share(self.bounds.pending)
        if pending + len(new) > most:
            raise Overloaded(f"{pending} jobs of your API key are waiting; its share is {most} ({SHARE}).", retry_after_s=RETRY_S)
        own_bytes = sum(job.bytes_kept for job in own) + sum(disk.size_of(one.source) for one in new)
        if len(own) + len(new) > share(MOST_JOBS) or own_bytes > share(self.bounds.total_bytes):
            raise StorageFull(f"The jobs of your API key have reached its share of the disk space ({SHARE}): delete some.")

    @contextmanager
    def _exclusive(self) -> Iterator[Self]:
        """Lock out other threads and other processes. The folder must exist."""
        with self._lock:
            handle = os.open(self._folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX)
                yield self
            finally:
                os.close(handle)
