"""Work that sends events, and a reader that may be slower, or leave."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from open_speech.api.dialogue.event_stream import WAITING, EventQueue, events_of
from tests.waiting import PATIENCE_S


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(work, PATIENCE_S))


def test_events_arrive_in_order_and_the_work_waits_for_the_reader() -> None:
    async def scene() -> None:
        sent = 0

        async def work(queue: EventQueue) -> None:
            nonlocal sent
            for number in range(100):
                await queue.room()
                queue.put({"number": number})
                sent += 1

        received = []
        async for event in events_of(work):
            received.append(event["number"])
            await asyncio.sleep(0)
            assert sent <= len(received) + WAITING
        assert received == list(range(100))

    run(scene())


def test_an_error_is_raised_after_the_events_before_it() -> None:
    async def scene() -> None:
        async def work(queue: EventQueue) -> None:
            queue.put({"number": 1})
            raise ValueError("broken")

        received = []
        with pytest.raises(ValueError, match="broken"):
            async for event in events_of(work):
                received.append(event)
        assert received == [{"number": 1}]

    run(scene())


def test_a_reader_that_leaves_ends_the_work() -> None:
    async def scene() -> None:
        ended = asyncio.Event()

        async def work(queue: EventQueue) -> None:
            try:
                queue.put({})
                await asyncio.Event().wait()
            finally:
                ended.set()

        events = events_of(work)
        await anext(events)
        await events.aclose()
        assert ended.is_set()

    run(scene())
