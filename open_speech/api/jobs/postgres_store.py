"""Jobs of several fronts: their state in PostgreSQL, their files in a folder that all fronts share. Blocking, as the store of one machine.

A front that processes a job has a lease on it, which a thread renews. A front that dies, or cannot reach the database any more, loses its
leases after LEASE_S seconds, and another front continues the job (docs/decisions/0015-jobs-in-postgresql.md).
"""

from __future__ import annotations

import shutil
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Self

import psycopg
from psycopg_pool import ConnectionPool

from open_speech.api.jobs import disk
from open_speech.api.jobs.job import Job, JobInput
from open_speech.api.jobs.store import JOB_ID, Bounds, JobStore
from open_speech.errors import DatabaseUnavailable, StorageFailed

LEASE_S = 30.0
"""Seconds for which a claim holds without being renewed."""
RENEW_S = 5.0
ANSWER_S = 5.0
"""Maximum seconds to wait for a connection, and for one statement."""
CONNECTIONS = 8
RETRY_S = 5.0
"""Seconds after which clients should retry while the database does not answer."""
_LOCK = 0x6F735F6A6F6273
"""Key of the advisory lock under which jobs are accepted, so that the limits hold for all fronts together."""
_TABLE = """
CREATE TABLE IF NOT EXISTS open_speech_jobs (
    id text PRIMARY KEY,
    state text NOT NULL,
    claimed_by uuid,
    claimed_until timestamptz
)
"""
_CLAIM = """
UPDATE open_speech_jobs SET claimed_by = %(claim)s, claimed_until = now() + make_interval(secs => %(lease)s)
WHERE id = (
    SELECT id FROM open_speech_jobs
    WHERE id = %(id)s AND (claimed_until IS NULL OR claimed_until < now())
    FOR UPDATE SKIP LOCKED
)
RETURNING id
"""
_RENEW = """
UPDATE open_speech_jobs SET claimed_until = now() + make_interval(secs => %(lease)s)
WHERE claimed_by = ANY(%(claims)s) RETURNING claimed_by
"""
_RELEASE = "UPDATE open_speech_jobs SET claimed_by = NULL, claimed_until = NULL WHERE claimed_by = %s"


class Lease:
    """The claim of one job, which is lost when it could not be renewed in time or another front took it."""

    def __init__(self, leases: Leases) -> None:
        self.key = uuid.uuid4()
        self.is_lost = False
        self._leases = leases

    def close(self) -> None:
        """Give the claim back; if the database does not answer, it expires."""
        self._leases.release(self)


class Leases:
    """Renews the claims of this process in a thread, which lives while there are any."""

    def __init__(self, database: Database, lease_s: float = LEASE_S, renew_s: float = RENEW_S) -> None:
        self._database = database
        self._lease_s = lease_s
        self._renew_s = renew_s
        self._held: dict[uuid.UUID, Lease] = {}
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def claim(self, name: str) -> Lease | None:
        """Claim a job; None if another front holds it, it is being changed, or there is none. Raises StorageFailed."""
        lease = Lease(self)
        with self._database.connection() as connection:
            found = connection.execute(_CLAIM, {"claim": lease.key, "lease": self._lease_s, "id": name}).fetchone()
        if found is None:
            return None
        with self._changed:
            self._held[lease.key] = lease
            if self._thread is None:
                self._thread = threading.Thread(target=self._renew_while_held, name="job-leases", daemon=True)
                self._thread.start()
        return lease

    def release(self, lease: Lease) -> None:
        """Give a claim back; never raises."""
        with self._changed:
            self._held.pop(lease.key, None)
            self._changed.notify()
        with suppress(StorageFailed), self._database.connection() as connection:
            connection.execute(_RELEASE, (lease.key,))

    def _renew_while_held(self) -> None:
        renewed_at = time.monotonic()
        while True:
            with self._changed:
                self._changed.wait_for(lambda: not self._held, timeout=self._renew_s)
                if not self._held:
                    self._thread = None
                    return
                held = dict(self._held)
            began = time.monotonic()
            try:
                with self._database.connection() as connection:
                    rows = connection.execute(_RENEW, {"lease": self._lease_s, "claims": list(held)}).fetchall()
            except StorageFailed:
                lost = held if time.monotonic() - renewed_at > self._lease_s else {}
            else:
                renewed_at = began
                lost = {key: lease for key, lease in held.items() if key not in {row[0] for row in rows}}
            for lease in lost.values():
                lease.is_lost = True


class Database:
    """Connections to the database, which are opened at the first use. Safe to use from several threads."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._pool: ConnectionPool | None = None
        self._lock = threading.Lock()
        self._has_table = False
        self._current = threading.local()

    @contextmanager
    def connection(self) -> Iterator[Any]:
        """Yield a connection in a transaction, the same one within a block in the same thread.

        Raises DatabaseUnavailable if there is none within ANSWER_S seconds or it breaks, and StorageFailed for other errors.
        """
        if (current := getattr(self._current, "connection", None)) is not None:
            yield current
            return
        try:
            with self._opened().connection(timeout=ANSWER_S) as connection:
                self._create(connection)
                self._current.connection = connection
                try:
                    yield connection
                finally:
                    self._current.connection = None
        except (psycopg.OperationalError, psycopg.InterfaceError) as error:
            raise DatabaseUnavailable("The database of the jobs does not answer; try again.", retry_after_s=RETRY_S) from error
        except psycopg.Error as error:
            raise StorageFailed(f"The database of the jobs refused a statement: {type(error).__name__}.") from error

    def close(self) -> None:
        """Close all connections; the next use opens new ones."""
        with self._lock:
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.close()

    def _opened(self) -> ConnectionPool:
        with self._lock:
            if self._pool is None:
                options = {
                    "connect_timeout": 3, "application_name": "open-speech", "tcp_user_timeout": round(1000 * ANSWER_S),
                    "options": f"-c statement_timeout={round(1000 * ANSWER_S)}",
                }  # fmt: skip
                # Reconnecting is given up quickly: the next request starts it again, without the long pauses of a retry that has gone on.
                self._pool = ConnectionPool(
                    self._url, kwargs=options, min_size=1, max_size=CONNECTIONS, timeout=ANSWER_S, reconnect_timeout=2 * ANSWER_S,
                    check=ConnectionPool.check_connection, name="open-speech-jobs", open=True,
                )  # fmt: skip
            return self._pool

    def _create(self, connection: Any) -> None:
        """Create the table if it does not exist; fronts that start at the same time do it one after the other."""
        if not self._has_table:
            with connection.transaction():
                connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
                connection.execute(_TABLE)
            self._has_table = True


class PostgresJobStore(JobStore):
    """The jobs of all fronts with one database and one shared folder."""

    def __init__(  # noqa: PLR0913 - the parameters of the store of one machine, and the lease
        self,
        url: str,
        folder: Path,
        bounds: Bounds,
        *,
        clock: Callable[[], float] = time.time,
        lease_s: float = LEASE_S,
        renew_s: float = RENEW_S,
    ) -> None:
        """`url` is a connection URI of libpq. Nothing is opened yet, so a server starts without its database."""
        super().__init__(folder, bounds, clock=clock)
        self._database = Database(url)
        self._leases = Leases(self._database, lease_s, renew_s)
        self._parsed: dict[str, tuple[str, Job]] = {}
        """Jobs that were read, each with its text."""

    def close(self) -> None:
        """Close all connections."""
        self._database.close()

    def all(self) -> list[Job]:
        """Read all jobs, newest first. Raises StorageFailed."""
        with self._database.connection() as connection:
            rows = connection.execute("SELECT id, state FROM open_speech_jobs ORDER BY id DESC").fetchall()
        parsed = {name: (state, self._job(name, state)) for name, state in rows}
        self._parsed = parsed
        return [job for _, job in parsed.values()]

    def get(self, name: str) -> Job | None:
        """Read the job with an id; None if there is none. Raises StorageFailed."""
        if not JOB_ID.match(name):
            return None
        with self._database.connection() as connection:
            row = connection.execute("SELECT state FROM open_speech_jobs WHERE id = %s", (name,)).fetchone()
        return None if row is None else self._job(name, row[0])

    def change(self, name: str, how: Callable[[Job], Job], *, lasting: bool = True) -> Job | None:
        """Change the state of a job in a transaction and return the new state; None if the job is deleted. Raises StorageFailed."""
        with self._database.connection() as connection:
            row = connection.execute("SELECT state FROM open_speech_jobs WHERE id = %s FOR UPDATE", (name,)).fetchone()
            if row is None:
                return None
            before = self._job(name, row[0])
            after = how(before)
            if after != before:
                if not lasting:
                    connection.execute("SET LOCAL synchronous_commit TO off")
                connection.execute("UPDATE open_speech_jobs SET state = %s WHERE id = %s", (after.model_dump_json(), name))
        if after.is_over and not before.is_over:
            with disk.storing():
                self.upload(name).unlink(missing_ok=True)
        return after

    def remove(self, name: str) -> bool:
        """Delete a job and all its files; return False if it does not exist. Raises StorageFailed."""
        with self._database.connection() as connection:
            if connection.execute("DELETE FROM open_speech_jobs WHERE id = %s RETURNING id", (name,)).fetchone() is None:
                return False
        shutil.rmtree(self.path(name, ""), ignore_errors=True)
        return True

    def claim(self, name: str) -> Lease | None:
        """Claim a job for processing; None if another front holds it, or the job is deleted. Raises StorageFailed."""
        return self._leases.claim(name)

    def _publish(self, staged: Sequence[JobInput]) -> None:
        # The files first: a job in the table has all its files, and files of no job are deleted when they are old.
        super()._publish(staged)
        with self._database.connection() as connection:
            for one in staged:
                connection.execute("INSERT INTO open_speech_jobs (id, state) VALUES (%s, %s)", (one.job.id, one.job.model_dump_json()))

    @contextmanager
    def _exclusive(self) -> Iterator[Self]:
        """Lock out other threads and other fronts, in one transaction."""
        with self._database.connection() as connection:
            connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
            yield self

    def _job(self, name: str, state: str) -> Job:
        known = self._parsed.get(name)
        return known[1] if known is not None and known[0] == state else Job.model_validate_json(state)
