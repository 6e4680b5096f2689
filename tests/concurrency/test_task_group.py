from __future__ import annotations

import asyncio
from contextlib import suppress

from open_speech.concurrency.task_group import Tasks


def test_what_was_begun_ends_with_the_rest_whatever_became_of_it() -> None:
    ended: list[str] = []

    async def scene() -> None:
        tasks = Tasks()

        async def fail() -> None:
            raise ValueError("of no interest here")

        async def wait(name: str) -> None:
            try:
                await asyncio.Event().wait()
            finally:
                await asyncio.sleep(0.01)
                ended.append(name)

        failing = tasks.begin(fail())
        done = tasks.begin(asyncio.sleep(0))
        tasks.begin(wait("a"))
        tasks.begin(wait("b"))
        await asyncio.sleep(0.02)
        assert done.done()
        assert isinstance(failing.exception(), ValueError)
        await tasks.end()
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(scene())
    assert sorted(ended) == ["a", "b"]


def test_a_caller_that_is_cancelled_while_it_ends_them_gets_its_own_cancellation() -> None:
    """A cancel scope knows its cancellation by the message; that of one of the tasks would pass it and end the server's request handler."""

    async def scene() -> None:
        tasks = Tasks()

        async def stubborn() -> None:
            try:
                await asyncio.Event().wait()
            finally:
                with suppress(asyncio.CancelledError):
                    await asyncio.sleep(0.05)

        tasks.begin(stubborn())
        await asyncio.sleep(0)
        ending = asyncio.create_task(tasks.end())
        await asyncio.sleep(0.01)
        ending.cancel("by the scope")
        try:
            await ending
        except asyncio.CancelledError as cancelled:
            assert cancelled.args == ("by the scope",)
        else:
            raise AssertionError("the cancellation was lost")
        await tasks.end()

    asyncio.run(scene())
