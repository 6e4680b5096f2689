from __future__ import annotations

import asyncio
import math

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

pytest.importorskip("redis", reason="needs open-speech[redis]")

from open_speech.shared_state.allowances import LocalAllowances, Rate, Share
from open_speech.shared_state.shared_allowances import PREFIX, SharedAllowances
from open_speech.shared_state.store import SharedStore
from tests.redis_server import RedisServer
from tests.waiting import PATIENCE_S, Pace


class Clock:
    now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    per_minute=st.integers(1, 1000),
    at_once=st.integers(0, 20),
    requests=st.lists(st.tuples(st.sampled_from("ab"), st.floats(0, 90)), max_size=30),
)
def test_redis_decides_as_one_server_does(
    redis_server: RedisServer, per_minute: int, at_once: int, requests: list[tuple[str, float]]
) -> None:
    redis_server.ask("FLUSHALL")
    rate, clock = Rate.of(per_minute, at_once), Clock()

    async def run() -> list[tuple[Share, Share]]:
        store = SharedStore(redis_server.url, timeout_s=PATIENCE_S)
        local, shared = LocalAllowances(rate, clock=clock), SharedAllowances(rate, store, clock=clock)
        shares = []
        for caller, pause_s in requests:
            clock.now += pause_s
            shares.append((await local.take(caller), await shared.take(caller)))
        await store.aclose()
        return shares

    for one, other in asyncio.run(run()):
        assert one == other


def test_servers_share_the_buckets_and_the_clock_of_redis(redis_server: RedisServer) -> None:
    async def run() -> list[bool]:
        stores = [SharedStore(redis_server.url, timeout_s=PATIENCE_S) for _ in range(2)]
        servers = [SharedAllowances(Rate.of(1, 5), store) for store in stores]
        shares = await asyncio.gather(*(servers[n % 2].take("key ann") for n in range(20)))
        other = await servers[0].take("key bob")
        for store in stores:
            await store.aclose()
        assert other == Share(1, 4, 60, 0)
        return [share.wait_s == 0 for share in shares]

    pace = Pace()
    accepted = sum(asyncio.run(run()))
    assert 5 <= accepted <= 5 + math.ceil(pace.seconds / 60)
    # The entry expires a minute after the bucket is full, which is within five minutes.
    assert redis_server.ask(f'EXISTS "{PREFIX}key ann"') == ":1"
    assert 0 < int(redis_server.ask(f'PTTL "{PREFIX}key ann"').removeprefix(":")) <= 360_000
