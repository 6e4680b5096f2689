from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from open_speech.api.jobs import store as store_module
from open_speech.api.jobs.job import Job, Result
from open_speech.api.jobs.store import Bounds, JobStore, NewJob
from open_speech.errors import KeyReused, Overloaded, StorageFull
from tests.waiting import PATIENCE_S

NEW = Job(id="", type="transcription", model="whisper-1", response_format="json", created_at=0, fingerprint="f")
RESULT = Result(file="result.json", size=10, audio_s=1.0)


@pytest.fixture
def store(tmp_path: Path) -> JobStore:
    return opened(tmp_path)


def today() -> float:
    """The date, by which half an upload is old and ids are in order."""
    return datetime.now(UTC).timestamp()


def opened(folder: Path, *, pending: int = 10, total: int = 1 << 20, clock: Callable[[], float] = today) -> JobStore:
    return JobStore(folder / "jobs", Bounds(pending, total, 60), clock=clock)


def one(source: bytes | Path | None = b"sound", key: str | None = None, index: int = 0) -> NewJob:
    return NewJob(NEW.model_copy(update={"idempotency": key, "batch_index": index}), {"model": "whisper-1"}, source)


def test_a_job_is_kept_with_its_upload_and_what_was_asked(store: JobStore, tmp_path: Path) -> None:
    (job,) = store.accept([one()])
    again = opened(tmp_path)
    assert again.get(job.id) == job
    assert again.upload(job.id).read_bytes() == b"sound"
    assert again.input_of(job.id).fields == {"model": "whisper-1"}
    assert (job.size, job.status) == (5, "queued")


def test_an_upload_may_come_as_a_file(store: JobStore, tmp_path: Path) -> None:
    (tmp_path / "upload").write_bytes(b"x" * 3_000_000)
    big = opened(tmp_path, total=10_000_000)
    (job,) = big.accept([one(tmp_path / "upload")])
    assert big.upload(job.id).stat().st_size == job.size == 3_000_000


def test_jobs_are_listed_newest_first(store: JobStore) -> None:
    made = [store.accept([one()])[0] for _ in range(3)]
    assert [job.id for job in store.all()] == [job.id for job in reversed(made)]


def test_nothing_is_there_before_the_first(store: JobStore) -> None:
    assert store.all() == []
    assert store.get("job_" + "0" * 32) is None
    assert store.get("../../etc/passwd") is None
    store.sweep()


def test_a_change_is_seen_by_another_process(store: JobStore, tmp_path: Path) -> None:
    (job,) = store.accept([one()])
    other = opened(tmp_path)
    assert other.get(job.id) == job
    store.change(job.id, lambda job: job.begun(1))
    seen = other.get(job.id)
    assert seen is not None
    assert seen.status == "running"


def test_a_damaged_state_leaves_the_job_as_it_came(store: JobStore, tmp_path: Path) -> None:
    (job,) = store.accept([one()])
    store.change(job.id, lambda job: job.begun(1))
    store.path(job.id, "job.json").write_bytes(b'{"id": "job_')
    assert opened(tmp_path).get(job.id) == job


def test_a_job_that_cannot_be_read_at_all_harms_no_other(store: JobStore, tmp_path: Path) -> None:
    (bad,), (good,) = store.accept([one()]), store.accept([one()])
    store.path(bad.id, "order.json").write_bytes(b"\0\0\0")
    again = opened(tmp_path)
    assert [job.id for job in again.all()] == [good.id]
    assert again.change(bad.id, lambda job: job.begun(1)) is None


def test_what_cannot_be_read_goes_when_it_is_old(store: JobStore) -> None:
    (bad,) = store.accept([one()])
    store.path(bad.id, "order.json").write_bytes(b"\0\0\0")
    folder = store.path(bad.id, "")
    store.sweep()
    assert folder.exists()
    os.utime(folder, (1, 1))
    store.sweep()
    assert not folder.exists()


def test_half_an_upload_of_a_crash_is_no_job_and_goes_when_it_is_old(store: JobStore, tmp_path: Path) -> None:
    store.accept([one()])
    half = tmp_path / "jobs" / ".job_half"
    half.mkdir()
    assert len(store.all()) == 1
    store.sweep()
    assert half.exists()
    os.utime(half, (1, 1))
    store.sweep()
    assert not half.exists()


def test_what_is_over_for_long_enough_is_deleted(tmp_path: Path) -> None:
    now = 1000.0
    store = opened(tmp_path, clock=lambda: now)
    (old,), (waiting,) = store.accept([one()]), store.accept([one()])
    store.change(old.id, lambda job: job.begun(now).completed(now, RESULT))
    now += 59
    store.sweep()
    assert len(store.all()) == 2
    now += 3
    store.sweep()
    assert [job.id for job in store.all()] == [waiting.id]
    assert [name for name in os.listdir(tmp_path / "jobs") if old.id in name] == []


def test_no_more_jobs_wait_than_may(tmp_path: Path) -> None:
    store = opened(tmp_path, pending=2)
    first, _ = store.accept([one(index=0), one(index=1)])
    with pytest.raises(Overloaded) as refused:
        store.accept([one()])
    assert refused.value.retry_after_s is not None
    store.change(first.id, lambda job: job.begun(1).completed(2, RESULT))
    store.accept([one()])


def test_a_request_is_taken_whole_or_not_at_all(tmp_path: Path) -> None:
    store = opened(tmp_path, pending=2)
    with pytest.raises(Overloaded):
        store.accept([one(index=index) for index in range(3)])
    assert store.all() == []


def test_a_full_folder_takes_nothing_more(tmp_path: Path) -> None:
    store = opened(tmp_path, total=12)
    (first,) = store.accept([one(b"12345678")])
    with pytest.raises(StorageFull) as refused:
        store.accept([one(b"12345")])
    assert refused.value.status == 507
    assert [name for name in os.listdir(tmp_path / "jobs") if name.startswith(".job")] == []
    store.remove(first.id)
    store.accept([one(b"12345")])


def test_a_result_takes_the_room_that_the_upload_had(tmp_path: Path) -> None:
    store = opened(tmp_path, total=16)
    (first,) = store.accept([one(b"1234567890123456")])
    store.change(first.id, lambda job: job.begun(1).completed(2, RESULT))
    assert not store.upload(first.id).exists()
    with pytest.raises(StorageFull):
        store.accept([one(b"1234567")])
    store.accept([one(b"123456")])


def test_a_disk_without_room_takes_nothing(tmp_path: Path) -> None:
    store = opened(tmp_path, total=1 << 60)
    sparse = tmp_path / "huge"
    with sparse.open("wb") as file:
        file.truncate(shutil.disk_usage(tmp_path).free)
    with pytest.raises(StorageFull):
        store.accept([one(sparse)])


def test_the_same_key_gives_the_same_job(store: JobStore) -> None:
    (first,) = store.accept([one(key="k")])
    (again,) = store.accept([one(key="k")])
    assert again == first
    assert len(store.all()) == 1
    (other,) = store.accept([one(key="l")])
    assert other.id != first.id


def test_the_same_key_gives_the_same_job_when_no_more_are_taken(tmp_path: Path) -> None:
    store = opened(tmp_path, pending=1)
    (first,) = store.accept([one(key="k")])
    assert store.accept([one(key="k")]) == [first]


def test_the_same_key_with_another_file_is_a_mistake(store: JobStore) -> None:
    store.accept([one(key="k")])
    with pytest.raises(KeyReused) as refused:
        store.accept([one(b"another", key="k")])
    assert refused.value.status == 409


def test_a_batch_that_a_crash_cut_short_is_completed_by_its_key(store: JobStore) -> None:
    first, second = store.accept([one(key="k", index=0), one(key="k", index=1)])
    store.remove(second.id)
    again = store.accept([one(key="k", index=0), one(key="k", index=1)])
    assert again[0] == first
    assert [job.batch_index for job in again] == [0, 1]
    assert len(store.all()) == 2


def test_a_deleted_job_is_gone_with_all_its_files(store: JobStore, tmp_path: Path) -> None:
    (job,) = store.accept([one()])
    assert store.remove(job.id)
    assert not store.remove(job.id)
    assert store.get(job.id) is None
    assert os.listdir(tmp_path / "jobs") == [".lock"]
    assert store.change(job.id, lambda job: job.begun(1)) is None
    assert store.claim(job.id) is None


def test_one_job_is_claimed_by_one(store: JobStore, tmp_path: Path) -> None:
    (job,) = store.accept([one()])
    claim = store.claim(job.id)
    assert claim is not None
    assert store.claim(job.id) is None
    assert opened(tmp_path).claim(job.id) is None
    claim.close()
    again = store.claim(job.id)
    assert again is not None
    again.close()


def test_the_claim_of_a_process_that_is_killed_is_free_again(store: JobStore, tmp_path: Path) -> None:
    (job,) = store.accept([one()])
    code = (
        "import pathlib, time\n"
        "from open_speech.api.jobs.store import Bounds, JobStore\n"
        f"claim = JobStore(pathlib.Path({str(tmp_path / 'jobs')!r}), Bounds(1, 1, 1)).claim({job.id!r})\n"
        "print('held' if claim else 'not', flush=True)\n"
        "time.sleep(60)\n"
    )
    other = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, cwd=Path(store_module.__file__).parents[3])
    with other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        assert store.claim(job.id) is None
        other.kill()
        other.wait(PATIENCE_S)
    claim = store.claim(job.id)
    assert claim is not None
    claim.close()


def test_others_on_the_machine_cannot_read_the_folder(store: JobStore, tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        (job,) = store.accept([one()])
        store.change(job.id, lambda job: job.model_copy(update={"progress": 0.5}))
    finally:
        os.umask(before)
    found = [tmp_path / "jobs", *(tmp_path / "jobs").rglob("*")]
    assert len(found) > 4
    assert [path for path in found if path.stat().st_mode & 0o077] == []


def test_one_key_fills_no_more_than_its_share(tmp_path: Path) -> None:
    store = JobStore(tmp_path / "jobs", Bounds(4, 100, 60, per_key=lambda total: total // 2))

    def owned(owner: str, source: bytes = b"sound") -> NewJob:
        return NewJob(NEW.model_copy(update={"owner": owner}), {"model": "whisper-1"}, source)

    with pytest.raises(StorageFull, match="OS_KEY_SHARE"):
        store.accept([owned("name:ann", bytes(51))])
    with pytest.raises(Overloaded, match="OS_KEY_SHARE"):
        store.accept([owned("name:ann")] * 3)
    store.accept([owned("name:ann"), owned("name:ann")])
    with pytest.raises(Overloaded, match="OS_KEY_SHARE"):
        store.accept([owned("name:ann")])
    assert len(store.accept([owned("key:0"), owned("key:0")])) == 2
