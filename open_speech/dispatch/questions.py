"""Questions to a runner that may have no process at the moment: some are answered without starting it."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Protocol

from open_speech.dispatch.frames import Question, RunnerStatus, T


class Askable(Protocol):
    """What answers questions: a `Link` to a runner."""

    async def ask(self, question: Question[T]) -> T:
        """Return the answer."""
        ...


class Sleeper(Protocol):
    """What is known of a runner while it has no process."""

    def is_asleep(self) -> bool:
        """Return whether the runner has no process. It starts when it is called or asked over its link."""
        ...

    async def answer(self, question: Question[T]) -> T:
        """Return what the runner would answer if it had just started."""
        ...


class Questions:
    """The questions to one runner. For one event loop."""

    def __init__(self, link: Askable, sleeper: Sleeper | None = None) -> None:
        """Without `sleeper`, the runner always has a process."""
        self._link = link
        self._sleeper = sleeper
        self._waking: asyncio.Task[None] | None = None

    async def ask(self, question: Question[T], *, wake: bool = False) -> T:
        """Return the answer to a question. Only with `wake` is a runner that has no process started for it. Raises as `Link.ask`."""
        if not wake and self._sleeper is not None and self._sleeper.is_asleep():
            return await self._sleeper.answer(question)
        return await self._link.ask(question)

    def wake_soon(self, *, within_s: float) -> None:
        """Start a runner that has no process, without waiting for it: it starts while a request is read and prepared."""
        if self._sleeper is not None and self._waking is None and self._sleeper.is_asleep():
            self._waking = asyncio.create_task(self._wake(within_s))
            self._waking.add_done_callback(self._woken)

    async def _wake(self, within_s: float) -> None:
        with suppress(Exception):  # the call that follows reports what is wrong
            async with asyncio.timeout(within_s):
                await self._link.ask(RunnerStatus())

    def _woken(self, _: asyncio.Task[None]) -> None:
        self._waking = None
