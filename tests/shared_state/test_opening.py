from __future__ import annotations

import asyncio

import pytest

from open_speech.shared_state.allowances import LocalAllowances, Rate
from open_speech.shared_state.opening import SharedState
from tests.redis_server import RedisServer
from tests.waiting import PATIENCE_S


def test_without_a_url_allowances_are_in_memory() -> None:
    state = SharedState("", timeout_s=1)
    assert isinstance(state.allowances(Rate.of(1)), LocalAllowances)
    asyncio.run(state.aclose())


def test_with_a_url_they_are_those_of_every_server(redis_server: RedisServer) -> None:
    pytest.importorskip("redis", reason="needs open-speech[redis]")

    async def run() -> None:
        states = [SharedState(redis_server.url, timeout_s=PATIENCE_S) for _ in range(2)]
        waits = [(await state.allowances(Rate.of(1)).take("x")).wait_s > 0 for state in states]
        assert waits == [False, True]
        for state in states:
            await state.aclose()

    asyncio.run(run())
