from __future__ import annotations

import asyncio

import pytest

from open_speech.api.management.operations import AT_ONCE, MOST, REMEMBERED, Operations
from open_speech.errors import Overloaded, WeightsUnavailable


class Work:
    """Work that ends when the test lets it."""

    def __init__(self) -> None:
        self.begun = 0
        self.gate = asyncio.Event()

    async def __call__(self) -> None:
        self.begun += 1
        await self.gate.wait()


async def fails() -> None:
    raise WeightsUnavailable("no source has them")


async def soon() -> None:
    await asyncio.sleep(0)


def test_the_same_order_is_joined_and_done_once() -> None:
    async def scenario() -> int:
        operations, work = Operations(), Work()
        first, second = (operations.start("download", "m", work) for _ in range(2))
        assert first is second
        assert operations.in_progress("m") is first
        await asyncio.sleep(0.01)
        work.gate.set()
        await asyncio.gather(first.done(), second.done())
        await asyncio.sleep(0)
        assert operations.in_progress("m") is None
        return work.begun

    assert asyncio.run(scenario()) == 1


def test_who_waits_and_leaves_does_not_end_the_order() -> None:
    async def scenario() -> None:
        operations, work = Operations(), Work()
        order = operations.start("load", "m", work)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(order.done(), 0.02)
        assert operations.in_progress("m") is order
        work.gate.set()
        await order.done()

    asyncio.run(scenario())


def test_a_failure_is_told_to_all_who_wait_and_remembered_until_it_works() -> None:
    async def scenario() -> None:
        operations = Operations()
        order = operations.start("download", "m", fails)
        for outcome in await asyncio.gather(order.done(), order.done(), return_exceptions=True):
            assert isinstance(outcome, WeightsUnavailable)
        assert isinstance(operations.failure("m"), WeightsUnavailable)
        await operations.start("download", "m", soon).done()
        await asyncio.sleep(0)
        assert operations.failure("m") is None

    asyncio.run(scenario())


def test_only_so_many_failures_are_remembered() -> None:
    async def scenario() -> int:
        operations = Operations()
        for number in range(REMEMBERED + 5):
            with pytest.raises(WeightsUnavailable):
                await operations.start("load", f"made/up-{number}", fails).done()
        return sum(operations.failure(f"made/up-{number}") is not None for number in range(REMEMBERED + 5))

    assert asyncio.run(scenario()) == REMEMBERED


def test_a_few_downloads_run_side_by_side_and_a_load_waits_for_none_of_them() -> None:
    async def scenario() -> tuple[int, int]:
        operations, download, load = Operations(), Work(), Work()
        for number in range(5):
            operations.start("download", f"m{number}", download)
        operations.start("load", "other", load)
        await asyncio.sleep(0.01)
        begun = download.begun, load.begun
        download.gate.set()
        load.gate.set()
        return begun

    assert asyncio.run(scenario()) == (AT_ONCE, 1)


def test_too_many_orders_are_refused() -> None:
    async def scenario() -> None:
        operations, work = Operations(), Work()
        placed = [operations.start("download", f"m{number}", work) for number in range(MOST)]
        with pytest.raises(Overloaded) as refused:
            operations.start("download", "one more", work)
        assert refused.value.retry_after_s
        work.gate.set()
        await asyncio.gather(*(order.done() for order in placed))

    asyncio.run(scenario())


def test_an_order_can_be_called_off_and_is_no_failure() -> None:
    async def scenario() -> None:
        operations, work = Operations(), Work()
        order = operations.start("download", "m", work)
        await asyncio.sleep(0)
        assert await operations.cancel("download", "m") is True
        await order.done()
        assert await operations.cancel("download", "m") is False
        assert (operations.failure("m"), operations.in_progress("m")) == (None, None)

    asyncio.run(scenario())


def test_one_key_orders_no_more_than_its_share() -> None:
    async def orders_of_two() -> None:
        operations, work = Operations(each=2), Work()
        placed = [operations.start("download", f"m{number}", work, "ann") for number in range(2)]
        with pytest.raises(Overloaded, match="OS_KEY_SHARE"):
            operations.start("download", "one more", work, "ann")
        assert operations.start("download", "m1", work, "ann") is placed[1]
        placed.append(operations.start("download", "one more", work, "bob"))
        for order in placed:
            await operations.cancel("download", order.model)

    asyncio.run(orders_of_two())
