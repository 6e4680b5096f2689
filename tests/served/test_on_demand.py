"""A server whose runners have a process only while they are used."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from benchmarks.served import Served, serve
from tests.served.test_bento import said_and_transcribed, services
from tests.served.test_crash_loop import install_fatal, speak
from tests.waiting import PATIENCE_S, until

pytestmark = pytest.mark.served

LAZY = {"OS_START_RUNNERS": "lazy", "OS_MODEL_TTL": "1"}


@pytest.fixture(scope="module")
def lazy(tones: dict[str, str]) -> Iterator[Served]:
    with serve(tones | LAZY) as served:
        yield served


def runners(served: Served) -> dict[str, Any]:
    backends = httpx.get(served.url + "/health", timeout=PATIENCE_S).raise_for_status().json()["backends"]
    assert all(backend["ready"] for backend in backends.values())
    return {name: backend["runner"] for name, backend in backends.items()}


def test_runners_start_at_their_first_use_and_end_when_they_are_idle(lazy: Served) -> None:
    until(lambda: services(lazy) == {"open_speech"})
    for path in ("/readyz", "/v1/models", "/v1/audio/voices", "/api/models", "/metrics"):  # none of them needs a runner
        httpx.get(lazy.url + path, timeout=PATIENCE_S).raise_for_status()
    assert all(runner["asleep"] for runner in runners(lazy).values())
    assert services(lazy) == {"open_speech"}

    for _ in range(2):
        assert said_and_transcribed(lazy, "At first use.") == "At first use."
        assert all("pid" in runner for runner in runners(lazy).values())
        # These health checks do not keep a runner awake, nor start one that is about to end.
        until(lambda: all("asleep" in (runner or {}) for runner in runners(lazy).values()))
        until(lambda: runners(lazy) and services(lazy) == {"open_speech"})


def test_a_killed_runner_starts_again_for_the_next_call(lazy: Served) -> None:
    assert said_and_transcribed(lazy, "Before.") == "Before."
    killed = lazy.kill("tones_stt")
    assert said_and_transcribed(lazy, "Afterwards.") == "Afterwards."
    assert lazy.pid_of("tones_stt") != killed


def test_a_call_that_kills_its_runner_is_given_up_here_too(tmp_path_factory: pytest.TempPathFactory, tones: dict[str, str]) -> None:
    with serve(install_fatal(tmp_path_factory, tones) | LAZY) as served:
        refused = speak(served, "An illegal instruction.")
        assert refused.json()["error"]["code"] == "backend_crashed", refused.text
        assert "was killed by SIGILL" in refused.json()["error"]["message"]
        assert speak(served, "Hello.").status_code == 200
