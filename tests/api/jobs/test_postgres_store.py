"""Jobs of several fronts: two stores with one database and one folder are two fronts."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from open_speech.api.jobs.job import Job, Result
from open_speech.api.jobs.service import store_of
from open_speech.api.jobs.store import Bounds, JobStore, NewJob
from open_speech.config import Settings, SettingsError, load
from open_speech.errors import DatabaseUnavailable, KeyReused, Overloaded
from tests.waiting import PATIENCE_S, until

pytest.importorskip("psycopg", reason="needs the extra `postgres`")

from open_speech.api.jobs.postgres_store import PostgresJobStore  # noqa: E402 - needs psycopg
from tests.api.jobs.postgres import Postgres, folder_of_binaries, running  # noqa: E402 - needs psycopg

ROOT = Path(__file__).parents[3]
NEW = Job(id="", type="transcription", model="whisper-1", response_format="json", created_at=0, fingerprint="f")
RESULT = Result(file="result.json", size=10, audio_s=1.0)


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    if (binaries := folder_of_binaries()) is None:
        pytest.skip("no PostgreSQL server: apt-get install postgresql")
    with running(binaries) as server:
        yield server


@pytest.fixture
def database(server: Postgres) -> Postgres:
    server.empty()
    return server


def today() -> float:
    return datetime.now(UTC).timestamp()


Open = Callable[..., PostgresJobStore]


@pytest.fixture
def opened(database: Postgres, tmp_path: Path) -> Iterator[Open]:
    stores: list[PostgresJobStore] = []

    def opened(*, pending: int = 10, clock: Callable[[], float] = today, lease_s: float = 60.0, renew_s: float = 5.0) -> PostgresJobStore:
        bounds = Bounds(pending, 1 << 20, 60)
        stores.append(PostgresJobStore(database.url, tmp_path / "jobs", bounds, clock=clock, lease_s=lease_s, renew_s=renew_s))
        return stores[-1]

    yield opened
    for store in stores:
        store.close()


def one(source: bytes | Path | None = b"sound", key: str | None = None, index: int = 0) -> NewJob:
    return NewJob(NEW.model_copy(update={"idempotency": key, "batch_index": index}), {"model": "whisper-1"}, source)


def test_a_job_of_one_front_is_seen_by_another_with_its_files(opened: Open) -> None:
    here, there = opened(), opened()
    (job,) = here.accept([one()])
    assert there.get(job.id) == job
    assert there.upload(job.id).read_bytes() == b"sound"
    assert there.input_of(job.id).fields == {"model": "whisper-1"}
    there.change(job.id, lambda job: job.begun(1).completed(2, RESULT))
    seen = here.get(job.id)
    assert seen is not None
    assert (seen.status, seen.result) == ("completed", RESULT)
    assert not here.upload(job.id).exists()


def test_jobs_are_listed_newest_first_and_an_invalid_id_finds_none(opened: Open) -> None:
    store = opened()
    assert store.all() == []
    made = [store.accept([one()])[0] for _ in range(3)]
    assert [job.id for job in store.all()] == [job.id for job in reversed(made)]
    assert [store.get(name) for name in ("job_" + "0" * 32, "../../etc/passwd", "job_\0")] == [None] * 3


def test_a_file_name_may_have_any_character(opened: Open) -> None:
    store = opened()
    (job,) = store.accept([NewJob(NEW.model_copy(update={"filename": "a\0\ud7ff'\\u0000.wav"}), {}, b"x")])
    assert opened().get(job.id) == job


def test_the_limits_are_those_of_all_fronts_together(opened: Open) -> None:
    here, there = opened(pending=2), opened(pending=2)
    first = here.accept([one()])[0]
    there.accept([one()])
    with pytest.raises(Overloaded):
        here.accept([one()])
    there.change(first.id, lambda job: job.begun(1).completed(2, RESULT))
    here.accept([one()])


def test_the_same_key_at_two_fronts_at_once_gives_one_job(opened: Open) -> None:
    stores = [opened() for _ in range(4)]
    start, found = threading.Barrier(4), list[Job]()

    def accept(store: PostgresJobStore) -> None:
        start.wait(PATIENCE_S)
        found.extend(store.accept([one(key="k")]))

    threads = [threading.Thread(target=accept, args=(store,)) for store in stores]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_S)
    assert len(found) == 4
    assert len({job.id for job in found}) == len(stores[0].all()) == 1
    with pytest.raises(KeyReused):
        stores[1].accept([one(b"another", key="k")])


def test_changes_of_two_fronts_at_once_are_all_made(opened: Open) -> None:
    stores = [opened() for _ in range(4)]
    (job,) = stores[0].accept([one()])

    def count(store: PostgresJobStore) -> None:
        for _ in range(10):
            store.change(job.id, lambda job: job.model_copy(update={"runs": job.runs + 1}), lasting=False)

    threads = [threading.Thread(target=count, args=(store,)) for store in stores]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_S)
    counted = stores[0].get(job.id)
    assert counted is not None
    assert counted.runs == 40


def test_one_job_is_claimed_by_one_front(opened: Open) -> None:
    here, there = opened(), opened()
    (job,) = here.accept([one()])
    claim = here.claim(job.id)
    assert claim is not None
    assert here.claim(job.id) is None
    assert there.claim(job.id) is None
    claim.close()
    again = there.claim(job.id)
    assert again is not None
    assert not again.is_lost
    again.close()
    assert here.claim("job_" + "0" * 32) is None


def test_a_claim_is_renewed_while_it_is_held(opened: Open, database: Postgres) -> None:
    import psycopg

    store = opened(renew_s=0.05)
    (job,) = store.accept([one()])
    claim = store.claim(job.id)
    assert claim is not None

    def until_when() -> datetime:
        with psycopg.connect(database.url) as connection:
            row = connection.execute("SELECT claimed_until FROM open_speech_jobs").fetchone()
        assert row is not None
        assert isinstance(row[0], datetime)
        return row[0]

    first = until_when()
    until(lambda: until_when() > first)
    assert not claim.is_lost
    claim.close()


def test_a_claim_that_was_not_renewed_in_time_is_lost_to_another_front(opened: Open) -> None:
    here, there = opened(lease_s=0.01, renew_s=0.2), opened()
    (job,) = here.accept([one()])
    claim = here.claim(job.id)
    assert claim is not None
    taken = until(lambda: there.claim(job.id))
    until(lambda: claim.is_lost)
    claim.close()
    # What the first front gives back is its own claim, which no longer exists.
    assert here.claim(job.id) is None
    assert not taken.is_lost
    taken.close()


def test_the_claim_of_a_process_that_is_killed_expires(opened: Open, database: Postgres, tmp_path: Path) -> None:
    store = opened()
    (job,) = store.accept([one()])
    code = (
        "import pathlib, time\n"
        "from open_speech.api.jobs.postgres_store import PostgresJobStore\n"
        "from open_speech.api.jobs.store import Bounds\n"
        f"store = PostgresJobStore({database.url!r}, pathlib.Path({str(tmp_path / 'jobs')!r}), Bounds(1, 1, 1), lease_s=1, renew_s=0.1)\n"
        f"print('held' if store.claim({job.id!r}) else 'not', flush=True)\n"
        f"time.sleep({PATIENCE_S})\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, cwd=ROOT) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        other.kill()
        other.wait(PATIENCE_S)
    claim = until(lambda: store.claim(job.id))
    claim.close()


def test_a_deleted_job_is_gone_with_all_its_files(opened: Open, tmp_path: Path) -> None:
    here, there = opened(), opened()
    (job,) = here.accept([one()])
    assert there.remove(job.id)
    assert not here.remove(job.id)
    assert here.get(job.id) is None
    assert here.change(job.id, lambda job: job.begun(1)) is None
    assert here.claim(job.id) is None
    assert os.listdir(tmp_path / "jobs") == []


def test_what_is_over_for_long_enough_is_deleted_and_so_are_files_of_no_job(opened: Open, tmp_path: Path) -> None:
    now = 1000.0
    store = opened(clock=lambda: now)
    (old,), (waiting,) = store.accept([one()]), store.accept([one()])
    store.change(old.id, lambda job: job.begun(now).completed(now, RESULT))
    orphan = tmp_path / "jobs" / ("job_" + "0" * 32)
    orphan.mkdir()
    os.utime(orphan, (1, 1))
    now += 61.5
    store.sweep()
    assert [job.id for job in store.all()] == [waiting.id]
    assert os.listdir(tmp_path / "jobs") == [waiting.id]


def test_without_the_database_requests_are_answered_503_and_work_again_when_it_is_back(opened: Open, database: Postgres) -> None:
    store = opened(renew_s=0.05)
    (job,) = store.accept([one()])
    claim = store.claim(job.id)
    assert claim is not None
    database.stop()
    try:
        for call in (lambda: store.get(job.id), store.all, lambda: store.accept([one()]), lambda: store.change(job.id, lambda job: job)):
            with pytest.raises(DatabaseUnavailable) as refused:
                call()
            assert refused.value.status == 503
            assert refused.value.retry_after_s is not None
    finally:
        database.start()

    def answers() -> bool:
        try:
            return store.get(job.id) == job
        except DatabaseUnavailable:
            return False

    until(answers)
    # The outage was shorter than the lease, so the front still has the job.
    assert not claim.is_lost
    claim.close()
    assert len(store.all()) == 1


def test_a_server_starts_without_its_database(tmp_path: Path) -> None:
    store = PostgresJobStore(f"postgresql:///none?host={tmp_path}&user=nobody", tmp_path / "jobs", Bounds(1, 1, 1))
    store.close()


def test_the_setting_selects_the_store(tmp_path: Path) -> None:
    bounds = Bounds(1, 1, 1)
    assert type(store_of(Settings(os_jobs_dir=tmp_path), bounds)) is JobStore
    assert type(store_of(Settings(os_jobs_dir=tmp_path, os_database_url="postgresql:///x"), bounds)) is PostgresJobStore
    with pytest.raises(SettingsError, match="OS_DATABASE_URL"):
        load({"OS_DATABASE_URL": "mysql://x"})


def test_the_password_of_the_database_is_not_shown() -> None:
    assert "secret" not in repr(Settings(os_database_url="postgresql://user:secret@host/name"))
