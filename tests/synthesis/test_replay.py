"""Text that is read again from its beginning by another model."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from open_speech.errors import BackendFailed
from open_speech.synthesis.replay import ReplayedText


class Written:
    """Text that arrives when a test says so."""

    def __init__(self, *fragments: str | None) -> None:
        self.queue: asyncio.Queue[str | None | type[StopAsyncIteration]] = asyncio.Queue()
        for fragment in fragments:
            self.queue.put_nowait(fragment)

    def __aiter__(self) -> AsyncIterator[str | None]:
        return self

    async def __anext__(self) -> str | None:
        fragment = await self.queue.get()
        if fragment is StopAsyncIteration:
            raise StopAsyncIteration
        assert not isinstance(fragment, type)
        return fragment

    def end(self) -> None:
        self.queue.put_nowait(StopAsyncIteration)


def test_a_second_reader_begins_at_the_beginning_and_goes_on() -> None:
    async def run() -> tuple[list[str | None], list[str | None]]:
        written = Written("one", None, "two")
        text = ReplayedText(written)
        first = text.read()
        begun = [await anext(first) for _ in range(3)]
        await first.aclose()
        second = text.read()
        again = [await anext(second) for _ in range(3)]
        text.forget()
        written.queue.put_nowait("three")
        written.end()
        return begun, [*again, *[fragment async for fragment in second]]

    assert asyncio.run(run()) == (["one", None, "two"], ["one", None, "two", "three"])


def test_a_fragment_for_which_a_stopped_reader_waited_is_not_lost() -> None:
    async def run() -> list[str | None]:
        written = Written("one")
        text = ReplayedText(written)
        first = text.read()
        await anext(first)
        waiting = asyncio.ensure_future(anext(first))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        written.queue.put_nowait("two")
        written.end()
        return [fragment async for fragment in text.read()]

    assert asyncio.run(run()) == ["one", "two"]


def test_two_readers_that_wait_at_once_both_get_the_fragment_once() -> None:
    async def run() -> list[list[str | None]]:
        written = Written()
        text = ReplayedText(written)

        async def read() -> list[str | None]:
            return [fragment async for fragment in text.read()]

        readers = [asyncio.ensure_future(read()) for _ in range(2)]
        await asyncio.sleep(0)
        written.queue.put_nowait("one")
        written.end()
        return await asyncio.gather(*readers)

    assert asyncio.run(run()) == [["one"], ["one"]]


def test_what_is_read_is_dropped_after_the_last_change_of_readers() -> None:
    async def run() -> int:
        written = Written(*"abc")
        text = ReplayedText(written)
        reader = text.read()
        for _ in range(3):
            await anext(reader)
        text.forget()
        written.queue.put_nowait("d")
        await anext(reader)
        return len(text._kept)

    assert asyncio.run(run()) == 0


def test_the_end_of_the_last_reader_stops_the_wait() -> None:
    async def run() -> bool:
        text = ReplayedText(Written("one"))
        reader = text.read()
        await anext(reader)
        text.forget()
        waiting = asyncio.ensure_future(anext(reader))
        await asyncio.sleep(0)
        arriving = text._arriving
        assert arriving is not None
        waiting.cancel()
        await asyncio.gather(waiting, arriving, return_exceptions=True)
        return arriving.cancelled()

    assert asyncio.run(run())


def test_an_error_of_the_text_is_that_of_every_reader() -> None:
    async def broken() -> AsyncIterator[str | None]:
        yield "one"
        raise BackendFailed("the writer stopped")

    async def run() -> None:
        text = ReplayedText(broken())
        for _ in range(2):
            reader = text.read()
            assert await anext(reader) == "one"
            with pytest.raises(BackendFailed):
                await anext(reader)

    asyncio.run(run())
