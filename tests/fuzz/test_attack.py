"""The judge is judged: on servers that do what ours must not."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from random import Random

import pytest

from benchmarks.fuzz.attack import Answer, Fault, Target, damaged, exchange, request
from benchmarks.fuzz.http import BODIES, changed, dumped
from benchmarks.fuzz.media import CODECS, LIES, whole
from open_speech.codecs import decode

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def answered_by(serve: Serve, *, within_s: float = 5.0) -> Answer:
    """Ask a server that answers everything with `serve`."""

    async def ask() -> Answer:
        ended = asyncio.Event()

        async def to_the_end(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await serve(reader, writer)
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()
            ended.set()

        async with await asyncio.start_server(to_the_end, "127.0.0.1", 0) as server:
            target = Target(server.sockets[0].getsockname()[1])
            try:
                return await exchange(target, [request(target, "GET", "/")], within_s=within_s)
            finally:
                await ended.wait()

    return asyncio.run(ask())


def saying(data: bytes, *, then_hang: bool = False) -> Serve:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(data)
        if then_hang:
            await writer.drain()
            with suppress(ConnectionError):
                await reader.read()

    return serve


@pytest.mark.parametrize("status", [200, 400, 503, 507, 500, 502, 504])
def test_a_server_error_that_is_not_documented_is_a_fault(status: int) -> None:
    answer = answered_by(saying(f"HTTP/1.1 {status} X\r\n\r\n{{}}".encode()))
    assert (answer.status, answer.body) == (status, b"{}")
    if status in (500, 502, 504):
        with pytest.raises(Fault, match=str(status)):
            answer.judged()
    else:
        assert answer.judged() == str(status)


def test_a_server_that_hangs_is_at_fault() -> None:
    with pytest.raises(Fault, match="without an end"):
        answered_by(saying(b"HTTP/1.1 200 OK\r\n\r\n", then_hang=True), within_s=0.3)


def test_a_server_that_hangs_up_without_a_word_is_noted() -> None:
    assert answered_by(saying(b"")).judged() == "closed"


def test_the_same_seed_is_the_same_attack() -> None:
    body = BODIES[0][1]
    assert [damaged(Random(n), bytes(500)) for n in range(20)] == [damaged(Random(n), bytes(500)) for n in range(20)]
    assert [dumped(changed(Random(n), body)) for n in range(20)] == [dumped(changed(Random(n), body)) for n in range(20)]
    assert len({damaged(Random(n), bytes(500)) for n in range(20)}) > 10
    assert len({dumped(changed(Random(n), body)) for n in range(20)}) > 10


@pytest.mark.parametrize(("container", "codec"), CODECS)
def test_the_files_that_are_damaged_are_whole_before(container: str, codec: str) -> None:
    data = whole(container, codec)
    assert len(data) > 1000
    if container not in ("w64", "aiff", "au", "caf"):  # which our server does not take
        assert decode(data, 16_000, max_seconds=1.0).seconds == pytest.approx(0.4, abs=0.15)


def test_no_lie_is_large() -> None:
    assert max(len(make()) for make in LIES.values()) < 1 << 20
