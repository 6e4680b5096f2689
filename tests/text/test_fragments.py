from __future__ import annotations

import asyncio

from open_speech.text.cleanup import HELD_CHARS
from open_speech.text.fragments import Fragments


def test_fragments_come_in_order_in_short_pieces_until_the_end() -> None:
    async def run() -> list[str]:
        fragments = Fragments()
        fragments.put("one ")

        async def write() -> None:
            await asyncio.sleep(0.01)
            fragments.put("x" * (HELD_CHARS + 1))
            fragments.end()

        writing = asyncio.create_task(write())
        found = [text async for text in fragments]
        await writing
        return found

    assert asyncio.run(run()) == ["one ", "x" * HELD_CHARS, "x"]
