from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import pytest
from starlette.requests import ClientDisconnect
from starlette.types import Message

from open_speech.errors import BackendFailed
from open_speech.http.disconnect import LiveResponse, ResponseTruncated, resumed, while_connected
from tests.waiting import PATIENCE_S


class Client:
    """A client that leaves after `patience_s` seconds; None never leaves."""

    def __init__(self, patience_s: float | None = None) -> None:
        self.patience_s = patience_s
        self.got: list[Message] = []

    async def receive(self) -> Message:
        await asyncio.sleep(3600 if self.patience_s is None else self.patience_s)
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        self.got.append(message)

    @property
    def chunks(self) -> list[bytes]:
        return [message["body"] for message in self.got[1:]]

    @property
    def has_all(self) -> bool:
        return not self.got[-1].get("more_body", True)


class Source:
    """Chunks, then an end: `whole`, an error, or silence for ever; knows whether it was closed."""

    def __init__(self, end: str) -> None:
        self.end = end
        self.closed = False

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        try:
            yield b"one"
            yield b"two"
            if self.end == "error":
                raise BackendFailed("boom")
            if self.end == "silence":
                await asyncio.sleep(3600)
        finally:
            self.closed = True


async def answer(source: Source, client: Client) -> None:
    response = LiveResponse(source.chunks(), "audio/mpeg")
    await response({"type": "http"}, client.receive, client.send)


def test_chunks_are_sent_as_they_are_made_and_then_ended() -> None:
    source, client = Source("whole"), Client()
    asyncio.run(answer(source, client))
    assert client.got[0]["status"] == 200
    assert (b"content-type", b"audio/mpeg") in client.got[0]["headers"]
    assert client.chunks == [b"one", b"two", b""]
    assert client.has_all
    assert source.closed


def test_a_failure_leaves_the_answer_without_its_end() -> None:
    source, client = Source("error"), Client()
    with pytest.raises(ResponseTruncated):
        asyncio.run(answer(source, client))
    assert client.chunks == [b"one", b"two"]
    assert not client.has_all
    assert source.closed


def test_a_client_that_leaves_closes_the_source_at_once() -> None:
    source, client = Source("silence"), Client(0.02)
    with pytest.raises(ClientDisconnect):
        asyncio.run(asyncio.wait_for(answer(source, client), PATIENCE_S))
    assert source.closed
    assert not client.has_all


def test_work_is_cancelled_when_the_client_leaves() -> None:
    cancelled = False

    async def work() -> None:
        nonlocal cancelled
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            cancelled = True
            raise

    with pytest.raises(ClientDisconnect):
        asyncio.run(while_connected(Client(0.02).receive, work()))
    assert cancelled


def test_work_gives_its_result_or_its_error() -> None:
    async def fails() -> None:
        raise BackendFailed("boom")

    assert asyncio.run(while_connected(Client().receive, asyncio.sleep(0, "done"))) == "done"
    with pytest.raises(BackendFailed):
        asyncio.run(while_connected(Client().receive, fails()))


def test_a_resumed_stream_is_whole_and_closes_its_rest() -> None:
    async def run() -> tuple[list[bytes], bool]:
        source = Source("whole")
        rest = source.chunks()
        first = await anext(rest)
        taken = [chunk async for chunk in resumed(first, rest)]
        return taken, source.closed

    assert asyncio.run(run()) == ([b"one", b"two"], True)
