"""A rate limit holds across several servers that share a Redis server, and what clients see when that server fails."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack

import httpx
import pytest
from fastapi import FastAPI
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from open_speech.app import create_app
from open_speech.config import Settings
from runners.wiring.engine import local_engine
from tests.redis_server import RedisServer, serve_redis
from tests.waiting import PATIENCE_S, until

pytest.importorskip("redis", reason="needs open-speech[redis]")

Serving = Callable[[FastAPI], AbstractContextManager[str]]
Fronts = Callable[[int, float], list[str]]
KEYS = ("sesame", "open")


@pytest.fixture
def redis_server() -> Iterator[RedisServer]:
    with serve_redis() as server:
        yield server


@pytest.fixture
def fronts(tones_settings: Settings, serving: Serving, redis_server: RedisServer) -> Iterator[Fronts]:
    """Start two servers with a burst and a deadline. The allowance gains one request a minute."""
    with ExitStack() as stack:

        def start(burst: int, timeout_s: float) -> list[str]:
            update = {"os_api_key": "ann:sesame,bob:open", "os_rate_limit": 1, "os_rate_limit_burst": burst}
            settings = tones_settings.model_copy(update={**update, "os_redis_url": redis_server.url, "os_redis_timeout_s": timeout_s})
            return [stack.enter_context(serving(create_app(settings, local_engine(settings)))) for _ in range(2)]

        yield start


def asked(front: str, key: str = KEYS[0]) -> httpx.Response:
    """Send a request that counts."""
    return httpx.get(f"{front}/v1/audio/jobs", headers={"Authorization": f"Bearer {key}"}, timeout=PATIENCE_S)


def test_a_limit_holds_across_servers_for_each_key(fronts: Fronts) -> None:
    one, other = fronts(4, PATIENCE_S)
    answers = [asked(front) for front in (one, other, one, other, one)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 200, 429]
    assert [answer.headers["x-ratelimit-remaining-requests"] for answer in answers] == ["3", "2", "1", "0", "0"]
    assert answers[0].headers["x-ratelimit-limit-requests"] == "1"
    assert answers[4].json()["error"]["code"] == "rate_limit_exceeded"
    assert 0 < int(answers[4].headers["retry-after"]) <= 60
    assert asked(one, KEYS[1]).headers["x-ratelimit-remaining-requests"] == "3"
    with (
        pytest.raises(InvalidStatus) as refused,
        connect(f"ws{other.removeprefix('http')}/v1/realtime", additional_headers={"api-key": KEYS[0]}),
    ):
        raise AssertionError("connected")
    assert refused.value.response.status_code == 429


@pytest.mark.parametrize("frozen", [True, False], ids=["frozen", "stopped"])
def test_without_redis_requests_are_answered_503_until_it_is_back(fronts: Fronts, redis_server: RedisServer, frozen: bool) -> None:
    # A frozen server executes what it has received when it goes on, so the burst is large enough for all of it.
    both = fronts(1000, 0.5)
    until(lambda: all(asked(front).status_code == 200 for front in both))
    if frozen:
        redis_server.freeze()
    else:
        redis_server.stop()
    for front in both:
        answer = asked(front)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
        assert answer.json()["error"]["code"] == "shared_state_unavailable"
        assert "x-ratelimit-limit-requests" not in answer.headers
        url, headers = f"ws{front.removeprefix('http')}/v1/realtime", {"api-key": KEYS[0]}
        with pytest.raises(InvalidStatus) as refused, connect(url, additional_headers=headers):
            raise AssertionError("connected")
        assert refused.value.response.status_code == 503
        # What is not counted is answered.
        assert httpx.get(f"{front}/livez", timeout=PATIENCE_S).status_code == 200
        assert httpx.get(f"{front}/v1/models", headers=headers, timeout=PATIENCE_S).status_code == 200
    if frozen:
        redis_server.resume()
    else:
        redis_server.start()
    until(lambda: all(asked(front).status_code == 200 for front in both))
