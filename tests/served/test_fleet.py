"""Two fronts and two runners with one PostgreSQL and one Redis server, each a real process: what one front accepts is everybody's."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from websockets.sync.client import connect

from benchmarks.served import Served, serve
from tests.redis_server import PROGRAM as REDIS
from tests.redis_server import RedisServer, serve_redis
from tests.served.test_jobs import hooks, is_over, kill_everything
from tests.waiting import PATIENCE_S, until

pytest.importorskip("psycopg", reason="needs the extra `postgres`")
pytest.importorskip("redis", reason="needs the extra `redis`")

from tests.api.jobs.postgres import Postgres, folder_of_binaries, running  # noqa: E402 - needs psycopg

__all__ = ["hooks"]
pytestmark = [
    pytest.mark.served,
    pytest.mark.skipif(folder_of_binaries() is None, reason="no PostgreSQL server: apt-get install postgresql"),
    pytest.mark.skipif(REDIS is None, reason="no Redis or Valkey server: apt-get install redis-server"),
]

CALLERS = 16
TEXT = "the quick brown fox jumps over the lazy dog"
LONG = f"{TEXT} " * 300
RUNNER = {"OS_OFFLINE": "true", "OS_MODEL_TTL": "0"}
TARGET = "tests.served.replica_runner:Runner"
Hooks = tuple[str, list[dict[str, Any]]]


@dataclass
class Front:
    """A front, as a client with one of its API keys sees it."""

    served: Served

    def ask(self, method: str, path: str, key: str = "sesame", **request: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {key}"}
        return httpx.request(method, f"{self.served.base_url}{path}", headers=headers, timeout=PATIENCE_S, **request)

    def speech(self, text: str) -> bytes:
        body = {"model": "tones/speak", "voice": "tone", "input": text, "response_format": "wav"}
        return self.ask("POST", "/audio/speech", json=body).raise_for_status().content

    def transcribe(self, speech: bytes) -> str:
        answer = self.ask("POST", "/audio/transcriptions", files={"file": ("a.wav", speech)}, data={"model": "tones/listen"})
        return str(answer.json()["text"]) if answer.status_code == 200 else answer.text

    def hand_in(self, speech: bytes, **data: str) -> str:
        """Hand in a job that transcribes; return its id."""
        files = {"file": ("a.wav", speech)}
        return str(self.ask("POST", "/audio/jobs", files=files, data={"model": "tones/listen", **data}).raise_for_status().json()["id"])

    def hand_in_speech(self, **body: str) -> str:
        """Hand in a job that speaks for some seconds; return its id."""
        said = {"model": "tones/speak", "voice": "tone", "input": LONG, "response_format": "wav", **body}
        return str(self.ask("POST", "/audio/jobs", json=said).raise_for_status().json()["id"])

    def job(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = self.ask("GET", f"/audio/jobs/{name}").raise_for_status().json()
        return found

    def until_over(self, name: str) -> dict[str, Any]:
        return until(lambda: job if is_over(job := self.job(name)) else {}, within_s=3 * PATIENCE_S, why=lambda: self.job(name))


@dataclass
class Fleet:
    """The servers. The fronts know both runners by their addresses."""

    settings: dict[str, str]
    runners: tuple[Served, Served]
    postgres: Postgres
    redis: RedisServer
    one: Front
    two: Front

    @contextmanager
    def front(self) -> Iterator[Front]:
        """Run a further front until the block ends."""
        with serve(self.settings) as served:
            yield Front(served)


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory, tones: dict[str, str]) -> Iterator[Fleet]:
    binaries = folder_of_binaries()
    assert binaries is not None
    with (
        running(binaries) as postgres,
        serve_redis() as redis,
        serve(RUNNER, target=TARGET) as here,
        serve(RUNNER, target=TARGET) as there,
    ):
        settings = tones | {
            "STT_BACKENDS": f"tones-stt@{here.url}|{there.url}",
            "TTS_BACKENDS": "tones-tts@inproc",
            "STT_VAD_ENABLED": "false",
            "OS_API_KEY": "ann:sesame,bob:open",
            "OS_SIGNING_KEYS": "the signing key of all fronts in this test",
            "OS_RATE_LIMIT": "1",
            "OS_RATE_LIMIT_BURST": "100000",
            "OS_REDIS_URL": redis.url,
            "OS_DATABASE_URL": postgres.url,
            "OS_JOBS_DIR": str(tmp_path_factory.mktemp("fleet") / "jobs"),
            "OS_BATCH_WORKERS": "1",
            "OS_BATCH_MAX_PENDING": "1000",
            "OS_WEBHOOK_ALLOW_PRIVATE": "true",
        }
        with serve(settings) as one, serve(settings) as two:
            yield Fleet(settings, (here, there), postgres, redis, Front(one), Front(two))


def test_a_job_of_one_front_is_seen_cancelled_and_fetched_at_the_other(fleet: Fleet) -> None:
    name = fleet.one.hand_in(fleet.one.speech(TEXT))
    assert fleet.two.until_over(name)["status"] == "completed"
    for front in (fleet.one, fleet.two):
        assert front.ask("GET", f"/audio/jobs/{name}/result").json()["text"] == TEXT

    # More than both fronts work on at the same time: one of them waits, the others are under way at either front.
    names = [front.hand_in_speech() for front in (fleet.one, fleet.two, fleet.one)]
    until(lambda: any(fleet.two.job(name)["status"] == "running" for name in names))
    for name in names:
        fleet.two.ask("POST", f"/audio/jobs/{name}/cancel").raise_for_status()
    assert {fleet.one.until_over(name)["status"] for name in names} == {"cancelled"}


def test_a_key_of_one_front_opens_a_session_at_the_other(fleet: Fleet) -> None:
    session = {"type": "realtime", "instructions": "Answer in one word."}
    created = fleet.one.ask("POST", "/realtime/client_secrets", key="open", json={"session": session}).raise_for_status()
    url = f"ws{fleet.two.served.base_url.removeprefix('http')}/realtime"
    with connect(url, additional_headers={"Authorization": f"Bearer {created.json()['value']}"}) as socket:
        first = json.loads(socket.recv(timeout=PATIENCE_S))
    assert (first["type"], first["session"]["instructions"]) == ("session.created", "Answer in one word.")


def test_a_request_at_one_front_counts_at_the_other(fleet: Fleet) -> None:
    def remaining(front: Front) -> int:
        return int(front.ask("GET", "/audio/jobs", key="open").headers["x-ratelimit-remaining-requests"])

    before = remaining(fleet.one)
    # The allowance grows by one request a minute meanwhile.
    assert before - remaining(fleet.two) in (0, 1)
    assert before - min(remaining(front) for front in (fleet.one, fleet.two) * 10) > 10


def test_a_killed_front_loses_no_job_and_each_webhook_is_sent_once(fleet: Fleet, hooks: Hooks) -> None:
    url, came = hooks
    with fleet.front() as victim:
        speech = victim.speech(TEXT)
        names = [victim.hand_in_speech(webhook_url=url) for _ in range(3)] + [victim.hand_in(speech, webhook_url=url) for _ in range(3)]
        until(lambda: any(0 < victim.job(name)["progress"] < 1 for name in names))
        kill_everything(victim.served)
    assert {fleet.one.until_over(name)["status"] for name in names} == {"completed"}
    for name in names:
        until(lambda name=name: fleet.two.job(name)["webhook"]["status"] == "delivered", why=lambda name=name: fleet.two.job(name))
    assert sorted(message["data"]["id"] for message in came) == sorted(names)


def test_without_its_stores_the_fleet_says_so_and_goes_on_when_they_are_back(fleet: Fleet) -> None:
    speech = fleet.one.speech(TEXT)
    name = fleet.one.hand_in_speech()
    fleet.postgres.stop()
    try:
        for front in (fleet.one, fleet.two):
            answer = front.ask("GET", f"/audio/jobs/{name}")
            assert (answer.status_code, answer.json()["error"]["code"]) == (503, "database_unavailable")
            assert front.transcribe(speech) == TEXT, "what needs no database is answered"
    finally:
        fleet.postgres.start()
    until(lambda: fleet.two.ask("GET", f"/audio/jobs/{name}").status_code == 200)
    fleet.redis.stop()
    try:
        for front in (fleet.one, fleet.two):
            answer = front.ask("GET", f"/audio/jobs/{name}")
            assert (answer.status_code, answer.json()["error"]["code"]) == (503, "shared_state_unavailable")
    finally:
        fleet.redis.start()
    until(lambda: all(front.ask("GET", "/audio/jobs").status_code == 200 for front in (fleet.one, fleet.two)))
    assert fleet.two.until_over(name)["status"] == "completed"


def test_a_killed_runner_loses_no_transcription_of_either_front(fleet: Fleet) -> None:
    """The last test: the runner does not come back."""
    speech = fleet.one.speech(TEXT)
    fronts = (fleet.one, fleet.two)
    with ThreadPoolExecutor(CALLERS) as pool:
        answers = [pool.submit(fronts[number % 2].transcribe, speech) for number in range(6 * CALLERS)]
        until(lambda: sum(answer.done() for answer in answers) >= CALLERS)
        for process in fleet.runners[1].processes():
            process.kill()
        assert {answer.result(2 * PATIENCE_S) for answer in answers} == {TEXT}
