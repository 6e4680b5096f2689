"""Too much work, and a stop in the midst of work, on a server as users run it."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from benchmarks import overload
from benchmarks.served import Served, serve
from tests.waiting import PATIENCE_S, until

pytestmark = pytest.mark.served

SENTENCE = "Some said that the long road reached the sea, and others believed that it turned back on itself. "


def backends_of(served: Served) -> dict[str, Any]:
    """Return the state of each backend."""
    return dict(httpx.get(served.url + "/health", timeout=PATIENCE_S).json()["backends"])


@pytest.fixture
def own_server(default_weights: None) -> Iterator[Served]:
    """A server that a test may stop."""
    with serve({"OS_OFFLINE": "true", "OS_STOP_TIMEOUT_S": "60"}) as served:
        yield served


@pytest.mark.weights
def test_twice_the_capacity_is_partly_rejected_at_once_and_nothing_is_lost(own_server: Served) -> None:
    report = overload.run(own_server, seconds=15)
    assert not report.lost
    assert len(report.refused_s) >= report.sent / 8, "half of them, but for those that wait at the end and for a server that became faster"
    assert len(report.accepted_s) >= report.sent / 4
    assert min(report.retry_after_s) >= 1
    accepted, refused = (sorted(times)[len(times) // 2] for times in (report.accepted_s, report.refused_s))
    assert refused < accepted, "a rejection does not wait for its turn"
    until(lambda: not any(backend["line"]["under_way"] for backend in backends_of(own_server).values()))


@pytest.mark.weights
def test_a_stop_finishes_what_was_accepted_and_refuses_what_is_new(own_server: Served) -> None:
    body = {"model": "piper/en_US-joe-medium", "voice": "alloy", "response_format": "pcm"}

    def speak(text: str) -> httpx.Response:
        return httpx.post(own_server.url + "/v1/audio/speech", json={**body, "input": text}, timeout=PATIENCE_S)

    def line() -> dict[str, int]:
        return dict(backends_of(own_server)["piper"]["line"])

    text = SENTENCE * 10
    with ThreadPoolExecutor(3) as pool:
        speeches = [pool.submit(speak, text) for _ in range(3)]
        until(lambda: line()["under_way"] >= 3)
        own_server.process.terminate()
        until(lambda: httpx.get(own_server.url + "/readyz", timeout=PATIENCE_S).status_code == 503)
        refused = speak("Anybody there?")
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "server_stopping")
        assert refused.headers["retry-after"] == "5"
        answers = [speech.result(PATIENCE_S) for speech in speeches]
    assert [answer.status_code for answer in answers] == [200, 200, 200]
    seconds = [len(answer.content) / 2 / 24_000 for answer in answers]
    assert min(seconds) > 40, "each is spoken to its end"
    assert max(seconds) - min(seconds) < 5
    assert own_server.process.wait(PATIENCE_S) == 0


def test_an_idle_server_stops(tones: dict[str, str]) -> None:
    with serve(tones) as served:
        served.process.terminate()
        assert served.process.wait(PATIENCE_S) == 0


def test_a_client_that_leaves_the_line_frees_its_place(tones: dict[str, str]) -> None:
    with serve({**tones, "OS_MAX_QUEUE": "1"}) as served:
        body = {"model": "tts-1", "voice": "alloy", "input": "a long story. " * 290, "response_format": "mp3"}
        for _ in range(3):
            with httpx.stream("POST", served.url + "/v1/audio/speech", json=body, timeout=PATIENCE_S) as answer:
                assert answer.status_code == 200
                next(answer.iter_bytes())
            until(lambda: not httpx.get(served.url + "/health", timeout=PATIENCE_S).json()["backends"]["tones-tts"]["line"]["under_way"])
