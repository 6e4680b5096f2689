"""Text that arrives piece by piece and can be read again from its beginning, so that another model can speak it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator


class ReplayedText:
    """Fragments of a text, kept until `forget`: each reader yields all of them, and then those that have not arrived yet."""

    def __init__(self, fragments: AsyncIterator[str | None]) -> None:
        """Take the fragments; they are not closed at the end."""
        self._fragments = fragments
        self._kept: deque[str | None] = deque()
        self._dropped = 0
        """Fragments before those in `_kept`."""
        self._is_forgotten = False
        self._arriving: asyncio.Task[None] | None = None
        """The wait for the next fragment. It is not part of a reader: if it were cancelled with one, the fragment would be lost."""

    async def read(self) -> AsyncGenerator[str | None, None]:
        """Yield the fragments from the beginning. After `forget`, only the newest reader goes on."""
        at = 0
        try:
            while at >= self._dropped:
                if at < self._dropped + len(self._kept):
                    fragment = self._kept[at - self._dropped]
                    at += 1
                    if self._is_forgotten:
                        self._drop(at)
                    yield fragment
                    continue
                self._arriving = self._arriving or asyncio.create_task(self._arrive())
                try:
                    await asyncio.shield(self._arriving)
                except StopAsyncIteration:
                    return  # the task stays, so other readers end here, too
                self._arriving = None if self._arriving is None or self._arriving.done() else self._arriving
        finally:
            if self._is_forgotten and at >= self._dropped:
                self.close()

    def forget(self) -> None:
        """Keep fragments no longer than until they are read: no further reader begins."""
        self._is_forgotten = True

    def close(self) -> None:
        """Stop waiting for the next fragment."""
        if self._arriving is not None:
            self._arriving.cancel()

    async def _arrive(self) -> None:
        self._kept.append(await anext(self._fragments))

    def _drop(self, before: int) -> None:
        while self._kept and self._dropped < before:
            self._kept.popleft()
            self._dropped += 1
