"""A queue of text fragments between the producer of a text and its synthesis."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Self

from open_speech.text.cleanup import HELD_CHARS


class Fragments:
    """The text of one utterance as an async iterator of short pieces, so that long text does not block the event loop."""

    def __init__(self) -> None:
        self._texts: deque[str] = deque()
        self._ended = False
        self._changed = asyncio.Event()

    def put(self, text: str) -> None:
        """Add text."""
        self._texts.extend(text[start : start + HELD_CHARS] for start in range(0, len(text), HELD_CHARS))
        self._changed.set()

    def end(self) -> None:
        """Mark the end of the text."""
        self._ended = True
        self._changed.set()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> str:
        await asyncio.sleep(0)
        while not self._texts:
            if self._ended:
                raise StopAsyncIteration
            self._changed.clear()
            await self._changed.wait()
        return self._texts.popleft()
