"""The connection to a replica; served tests use it with real runners."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest

from open_speech.dispatch.frames import LoadModel, RunnerStatus
from open_speech.dispatch.link import RunnerGone
from runners.host.remote_link import CONNECT_S, RemoteLink
from runners.tones import Listener


def test_a_replica_has_no_limit_on_a_whole_answer_but_one_on_the_connection() -> None:
    link = RemoteLink(Listener, "http://127.0.0.1:1")

    async def scenario() -> aiohttp.ClientTimeout:
        session = await link._remote._session_manager.get_session()
        assert isinstance(session, aiohttp.ClientSession)
        await link.close()
        return session.timeout

    timeout = asyncio.run(scenario())
    assert (timeout.total, timeout.connect, timeout.sock_connect) == (None, None, CONNECT_S)


def test_an_address_at_which_nothing_listens_is_a_runner_that_is_gone() -> None:
    async def scenario() -> None:
        link = RemoteLink(Listener, "http://127.0.0.1:1")
        with pytest.raises(RunnerGone):
            await link.ask(RunnerStatus())
        with pytest.raises(RunnerGone):
            await anext(link.call(LoadModel("m")))
        await link.close()

    asyncio.run(scenario())
