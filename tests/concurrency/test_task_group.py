from __future__ import annotations

import asyncio

from open_speech.tasks import Tasks


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
