"""Two fronts over HTTP with one database and one folder of jobs."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from open_speech.api.jobs.store import Bounds
from open_speech.config import Settings
from open_speech.errors import DatabaseUnavailable
from tests.api.jobs.conftest import PATH, SENTENCE, Running, said
from tests.api.jobs.test_workers import Bench, run
from tests.waiting import eventually, until

pytest.importorskip("psycopg", reason="needs the extra `postgres`")

from open_speech.api.jobs.postgres_store import PostgresJobStore  # noqa: E402 - needs psycopg
from tests.api.jobs.postgres import Postgres, folder_of_binaries, running  # noqa: E402 - needs psycopg


@pytest.fixture(scope="module")
def database() -> Iterator[Postgres]:
    if (binaries := folder_of_binaries()) is None:
        pytest.skip("no PostgreSQL server: apt-get install postgresql")
    with running(binaries) as server:
        yield server


@pytest.fixture
def shared(settings: Settings, database: Postgres, tmp_path: Path) -> Settings:
    database.empty()
    return settings.model_copy(update={"os_database_url": database.url, "os_jobs_dir": tmp_path / "jobs"})


def state(client: TestClient, name: str) -> dict[str, Any]:
    answer = client.get(f"{PATH}/{name}")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def submitted(client: TestClient, clip: bytes, **headers: str) -> str:
    answer = client.post(PATH, files={"file": ("a.wav", clip)}, data={"model": "whisper-1"}, headers=headers)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


def test_a_job_handed_in_at_one_front_is_done_by_the_other_and_fetched_at_the_first(shared: Settings, served: Running) -> None:
    with served(shared, works=False) as first:
        clip = said(first, SENTENCE)
        name = submitted(first, clip, **{"Idempotency-Key": "k"})
        with served(shared) as second:
            assert submitted(second, clip, **{"Idempotency-Key": "k"}) == name
            until(lambda: state(first, name)["status"] == "completed", why=lambda: state(first, name))
            events = first.get(f"{PATH}/{name}/events").text
        assert json.loads(events.split("data: ")[1].split("\n")[0])["data"]["status"] == "completed"
        assert SENTENCE.lower().rstrip(".") in first.get(f"{PATH}/{name}/result").json()["text"].lower()


def test_a_job_is_cancelled_and_deleted_at_another_front(shared: Settings, served: Running) -> None:
    with ExitStack() as stack:
        first, second = (stack.enter_context(served(shared, works=False)) for _ in range(2))
        clip = said(first, SENTENCE)
        cancelled, deleted = submitted(first, clip), submitted(first, clip)
        assert second.post(f"{PATH}/{cancelled}/cancel").json()["status"] == "cancelled"
        assert state(first, cancelled)["status"] == "cancelled"
        assert second.delete(f"{PATH}/{deleted}").status_code == 200
        assert first.get(f"{PATH}/{deleted}").status_code == 404
        assert [job["id"] for job in first.get(PATH).json()["data"]] == [cancelled]


def test_without_the_database_requests_get_503_and_the_job_is_done_when_it_is_back(
    shared: Settings, served: Running, database: Postgres
) -> None:
    with served(shared, works=False) as first:
        clip = said(first, SENTENCE)
        name = submitted(first, clip)
    with served(shared) as second:
        database.stop()
        try:
            answer = second.get(f"{PATH}/{name}")
            assert (answer.status_code, answer.json()["error"]["code"]) == (503, "database_unavailable")
            assert int(answer.headers["retry-after"]) > 0
            # Other work needs no database.
            assert said(second, SENTENCE)
        finally:
            database.start()
        until(lambda: second.get(f"{PATH}/{name}").status_code == 200)
        until(lambda: state(second, name)["status"] == "completed", why=lambda: state(second, name))


@pytest.fixture
def bench(database: Postgres, tmp_path: Path) -> Iterator[Bench]:
    database.empty()
    bench = Bench(tmp_path)
    yield bench
    bench.store.close()


def store_of(bench: Bench, database: Postgres, *, lease_s: float = 600.0, renew_s: float = 0.2) -> PostgresJobStore:
    bounds = Bounds(100, 1 << 20, 1e9)
    return PostgresJobStore(database.url, bench.folder / "jobs", bounds, clock=bench.clock, lease_s=lease_s, renew_s=renew_s)


def test_a_front_that_lost_its_claim_stops_the_work_and_leaves_the_job_to_the_other(bench: Bench, database: Postgres) -> None:
    bench.store = store_of(bench, database, lease_s=0.01)
    other = store_of(bench, database)

    async def work() -> None:
        name = bench.add()
        async with bench.working():
            await eventually(lambda: bench.hand.begun)
            claim = await eventually(lambda: other.claim(name))
            await eventually(lambda: bench.hand.stopped)
        job = other.get(name)
        assert job is not None
        assert (job.status, job.runs) == ("running", 1)
        claim.close()

    run(work)
    other.close()


def test_the_outcome_of_a_job_is_recorded_when_the_database_is_back(bench: Bench, database: Postgres) -> None:
    bench.store = store_of(bench, database)

    async def work() -> None:
        name = bench.add()

        async def is_completed() -> bool:
            try:
                job = await asyncio.to_thread(bench.store.get, name)
            except DatabaseUnavailable:
                return False
            return job is not None and job.status == "completed"

        async with bench.working():
            await eventually(lambda: bench.hand.begun)
            await asyncio.to_thread(database.stop)
            bench.hand.gate.set()
            await asyncio.to_thread(database.start)
            await eventually(is_completed)
        assert bench.hand.begun == [name]

    run(work)
