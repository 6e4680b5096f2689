"""Jobs on disk: a folder for each, with what was handed in, how it stands and what came of it. Blocking; several processes may share it.

`<id>/order.json` is the job as it was accepted and is never changed; `job.json` is how it stands now and is replaced as a whole. If that
one is damaged the job is as it was at first, and is done again. Who works on a job holds a lock on `<id>/lock`, which the kernel lets go
when its owner dies.
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
from typing import Any, Self

from pydantic import ValidationError

from open_speech.api.jobs import disk
from open_speech.api.jobs.job import Job, JobInput
from open_speech.concurrency.slots import SHARE
from open_speech.errors import KeyReused, Overloaded, StorageFull
from open_speech.security.private_files import FILE_MODE, FOLDER_MODE, make_private_folder, sync

log = logging.getLogger("open_speech.jobs")

MOST_JOBS = 10_000
"""Jobs that are kept; more are refused."""
RETRY_S = 30.0
"""Seconds after which to come again when too many jobs wait."""
_STALE_S = 3600
"""Seconds after which what a crash left half-done is swept away."""
_ID = re.compile(r"job_[0-9a-f]{32}\Z")
_ORDER, _STATE, _LOCK, _UPLOAD = "order.json", "job.json", "lock", "upload"


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much is kept."""

    pending: int
    """Jobs that are not over."""
    total_bytes: int
    retain_s: float
    """Seconds for which a job is kept when it is over."""
    per_key: Callable[[int], int] = int
    """How much of each of these one owner may use."""


@dataclass(frozen=True, slots=True)
class NewJob:
    """A job to be accepted; the store gives it its id."""

    job: Job
    fields: dict[str, Any]
    source: bytes | Path | None = None


class Claim:
    """The lock on one job, held until it is closed."""

    def __init__(self, handle: int) -> None:
        self._handle = handle

    def close(self) -> None:
        """Let others have the job."""
        os.close(self._handle)


class JobStore:
    """The jobs under one folder, which is made when the first one comes."""

    def __init__(self, folder: Path, bounds: Bounds, *, clock: Callable[[], float] = time.time) -> None:
        """`clock` tells Unix seconds."""
        self.bounds = bounds
        self._folder = folder
        self._clock = clock
        self._turns = threading.RLock()
        self._known: dict[str, tuple[tuple[int, int], Job]] = {}
        """What was read, with what tells that its file is still the same."""

    def now(self) -> float:
        """Tell the time, in Unix seconds."""
        return self._clock()

    def all(self) -> list[Job]:
        """Read every job, newest first; what cannot be read is left out. Raises StorageFailed if the folder cannot be read."""
        with disk.storing():
            try:
                names = sorted((name for name in os.listdir(self._folder) if _ID.match(name)), reverse=True)
            except FileNotFoundError:
                return []
        jobs = [job for name in names if (job := self.get(name)) is not None]
        known = self._known
        self._known = {job.id: kept for job in jobs if (kept := known.get(job.id)) is not None}
        return jobs

    def get(self, name: str) -> Job | None:
        """Read the job of an id; None for one that is not there, or is no id."""
        if not _ID.match(name):
            return None
        for file in (_STATE, _ORDER):
            try:
                stat = (self._folder / name / file).stat()
                stamp = (stat.st_ino, stat.st_mtime_ns)
                if (known := self._known.get(name)) is None or known[0] != stamp:
                    known = (stamp, self._read(name, file))
                    self._known[name] = known
                return known[1]
            except FileNotFoundError:
                continue
            except (OSError, ValidationError):
                log.warning("the file %s of the job %s is damaged", file, name)
        return None

    def order(self, name: str) -> JobInput:
        """Read what a job was asked. Raises StorageFailed."""
        with disk.storing():
            try:
                return JobInput.model_validate_json((self._folder / name / _ORDER).read_bytes())
            except ValidationError as damaged:
                raise OSError(0, "its stored request is damaged") from damaged

    def upload(self, name: str) -> Path:
        """Tell where a job's upload is."""
        return self.path(name, _UPLOAD)

    def path(self, name: str, file: str) -> Path:
        """Tell where a file of a job is."""
        assert _ID.match(name)
        return self._folder / name / file

    def accept(self, new: Sequence[NewJob]) -> list[Job]:
        """Keep the jobs of one request, all of them or none; when this returns they are on the disk.

        A request whose key came before is given the jobs that were made then. Raises Overloaded, StorageFull, KeyReused or StorageFailed.
        """
        idempotency = new[0].job.idempotency
        if idempotency is None or all(job.idempotency != idempotency for job in self.all()):
            self._check_room(new)
        staged: list[JobInput] = []
        try:
            with disk.storing():
                make_private_folder(self._folder)
                for one in new:
                    staged.append(self._staged(one))
                with self._alone():
                    before = self._of_key(staged, idempotency)
                    if not before:
                        self._check_room(new)
                    have = {job.batch_index for job in before}
                    missing = [order for order in staged if order.job.batch_index not in have]
                    for order in missing:
                        self._part(order.job.id).rename(self._folder / order.job.id)
                    sync(self._folder)
        finally:
            for order in staged:
                shutil.rmtree(self._part(order.job.id), ignore_errors=True)
        return sorted([*before, *(order.job for order in missing)], key=lambda job: job.batch_index)

    def change(self, name: str, how: Callable[[Job], Job], *, lasting: bool = True) -> Job | None:
        """Change how a job stands, alone; gives it as it is then, None if it is gone. Raises StorageFailed.

        When it is over its upload is deleted: nobody needs it any more, and it may be private.
        """
        with disk.storing(), self._alone():
            before = self.get(name)
            if before is None:
                return None
            after = how(before)
            if after != before:
                disk.write(self.path(name, _STATE), after.model_dump_json().encode(), lasting=lasting)
                # Two changes within a tick of the file system's clock may leave the same stamp.
                self._known.pop(name, None)
            if after.is_over and not before.is_over:
                self.upload(name).unlink(missing_ok=True)
            return after

    def remove(self, name: str) -> bool:
        """Delete a job and all its files; False if it was not there. Raises StorageFailed."""
        with disk.storing(), self._alone():
            if self.get(name) is None:
                return False
            self.path(name, "").rename(self._part(name))
            sync(self._folder)
        shutil.rmtree(self._part(name), ignore_errors=True)
        return True

    def claim(self, name: str) -> Claim | None:
        """Lock a job to work on it; None if somebody else does, or it is gone."""
        try:
            handle = os.open(self.path(name, _LOCK), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
        except FileNotFoundError:
            return None
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            return None
        return Claim(handle)

    def sweep(self) -> None:
        """Delete what has been over for long enough, and what a crash has left half-done."""
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
                beyond_repair = bool(_ID.match(name)) and path.stat().st_mtime < now - self.bounds.retain_s and self.get(name) is None
                if half_done or beyond_repair:
                    shutil.rmtree(path, ignore_errors=True)

    def _read(self, name: str, file: str) -> Job:
        data = (self._folder / name / file).read_bytes()
        return Job.model_validate_json(data) if file == _STATE else JobInput.model_validate_json(data).job

    def _part(self, name: str) -> Path:
        return self._folder / f".{name}"

    def _staged(self, new: NewJob) -> JobInput:
        now = self._clock()
        name = f"job_{int(now * 1e9):016x}{secrets.token_hex(8)}"
        part = self._part(name)
        part.mkdir(mode=FOLDER_MODE)
        try:
            heard = None if new.source is None else disk.take_in(new.source, part / _UPLOAD)
            found = {"id": name, "created_at": int(now), "size": disk.size_of(new.source)}
            order = JobInput(
                job=new.job.model_copy(update={**found, "fingerprint": f"{new.job.fingerprint}{heard or ''}"}), fields=new.fields
            )
            disk.write(part / _ORDER, order.model_dump_json().encode())
        except BaseException:
            shutil.rmtree(part, ignore_errors=True)
            raise
        return order

    def _of_key(self, staged: Sequence[JobInput], idempotency: str | None) -> list[Job]:
        """Find the jobs that were made with the same key before; a crash may have cut them short."""
        if idempotency is None:
            return []
        before = [job for job in self.all() if job.idempotency == idempotency]
        asked = {order.job.batch_index: order.job.fingerprint for order in staged}
        if any(asked.get(job.batch_index) != job.fingerprint for job in before):
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
        coming = sum(disk.size_of(one.source) for one in new)
        if sum(job.bytes_kept for job in jobs) + coming > self.bounds.total_bytes:
            raise StorageFull("The stored jobs have reached OS_JOBS_MAX_MB: delete some.")
        if coming > disk.free_bytes(self._folder):
            raise StorageFull("The server's disk is full.")

    def _check_share(self, own: Sequence[Job], new: Sequence[NewJob]) -> None:
        """Raise Overloaded or StorageFull if an owner would have more than one API key may."""
        share = self.bounds.per_key
        pending, most = sum(not job.is_over for job in own), share(self.bounds.pending)
        if pending + len(new) > most:
            raise Overloaded(f"{pending} jobs of your API key are waiting; its share is {most} ({SHARE}).", retry_after_s=RETRY_S)
        kept = sum(job.bytes_kept for job in own) + sum(disk.size_of(one.source) for one in new)
        if len(own) + len(new) > share(MOST_JOBS) or kept > share(self.bounds.total_bytes):
            raise StorageFull(f"The jobs of your API key have reached its share of the disk space ({SHARE}): delete some.")

    @contextmanager
    def _alone(self) -> Iterator[Self]:
        """Keep out the other threads, and other processes. The folder is there."""
        with self._turns:
            handle = os.open(self._folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX)
                yield self
            finally:
                os.close(handle)
