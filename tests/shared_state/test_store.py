from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable

import pytest

pytest.importorskip("redis", reason="needs open-speech[redis]")

from open_speech.errors import SharedStateUnavailable
from open_speech.shared_state.store import CONNECTIONS, SharedStore
from tests.redis_server import RedisServer
from tests.waiting import PATIENCE_S

SHORT_S = 0.2
COUNT = "return redis.call('INCRBY', KEYS[1], ARGV[1])"


def with_store(server: RedisServer, work: Callable[[SharedStore], Awaitable[None]], *, timeout_s: float = PATIENCE_S) -> None:
    async def run() -> None:
        store = SharedStore(server.url, timeout_s=timeout_s)
        await work(store)
        await store.aclose()

    asyncio.run(run())


def test_a_script_is_run_and_many_callers_wait_for_few_connections(redis_server: RedisServer) -> None:
    async def work(store: SharedStore) -> None:
        script = store.script(COUNT)
        results = await asyncio.gather(*(store.run(script, "n", 2) for _ in range(4 * CONNECTIONS)))
        assert sorted(results) == list(range(2, 8 * CONNECTIONS + 1, 2))

    with_store(redis_server, work)


def test_a_server_that_restarts_is_noticed_by_nobody(redis_server: RedisServer) -> None:
    """Neither the lost connection nor the script that the new process does not know is an error."""

    async def work(store: SharedStore) -> None:
        script = store.script(COUNT)
        assert await store.run(script, "n", 1) == 1
        await asyncio.to_thread(redis_server.stop)
        await asyncio.to_thread(redis_server.start)
        assert await store.run(script, "n", 1) == 1

    with_store(redis_server, work)


@pytest.mark.parametrize("frozen", [True, False], ids=["frozen", "stopped"])
def test_a_server_that_fails_is_an_error_within_the_deadline_until_it_is_back(
    redis_server: RedisServer, frozen: bool, caplog: pytest.LogCaptureFixture
) -> None:
    async def recovered(store: SharedStore, script: object) -> int:
        while True:
            try:
                return int(await store.run(script, "n", 1))
            except SharedStateUnavailable:
                await asyncio.sleep(0.01)

    async def work(store: SharedStore) -> None:
        script = store.script(COUNT)
        await recovered(store, script)
        await asyncio.to_thread(redis_server.freeze if frozen else redis_server.stop)
        failures = await asyncio.gather(*(store.run(script, "n", 1) for _ in range(3 * CONNECTIONS)), return_exceptions=True)
        assert {type(failure) for failure in failures} == {SharedStateUnavailable}
        error = failures[0]
        assert isinstance(error, SharedStateUnavailable)
        assert (error.status, error.code, error.retry_after_s) == (503, "shared_state_unavailable", 2.0)
        await asyncio.to_thread(redis_server.resume if frozen else redis_server.start)
        assert await asyncio.wait_for(recovered(store, script), PATIENCE_S) > 0

    with caplog.at_level(logging.INFO, "open_speech.shared_state"):
        with_store(redis_server, work, timeout_s=SHORT_S)
    levels = [record.levelname for record in caplog.records if record.name == "open_speech.shared_state"]
    # One line for each change, not for each request; a busy machine may take longer than the short deadline more than once.
    assert levels[-2:] == ["WARNING", "INFO"]
    assert all(one != other for one, other in zip(levels, levels[1:], strict=False))


def test_an_error_of_redis_is_an_error_of_ours_and_shows_no_password(redis_server: RedisServer, caplog: pytest.LogCaptureFixture) -> None:
    async def work(store: SharedStore) -> None:
        with pytest.raises(SharedStateUnavailable) as refused:
            await store.run(store.script("return redis.call('NOSUCH')"), "n")
        assert redis_server.url not in refused.value.message

    with_store(redis_server, work)
    redis_server.ask("CONFIG SET requirepass sesame")
    with_store(redis_server, work)
    assert "sesame" not in caplog.text


@pytest.mark.parametrize("scheme", ["redis", "rediss", "valkey", "valkeys"])
def test_every_scheme_is_understood_and_a_closed_port_is_an_error(scheme: str) -> None:
    async def run(port: int) -> None:
        store = SharedStore(f"{scheme}://:sesame@127.0.0.1:{port}/0", timeout_s=PATIENCE_S)
        with pytest.raises(SharedStateUnavailable):
            await store.run(store.script(COUNT), "n", 1)
        await store.aclose()

    with socket.socket() as bound:  # and nobody listens on it
        bound.bind(("127.0.0.1", 0))
        asyncio.run(run(bound.getsockname()[1]))
