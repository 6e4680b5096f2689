"""The transport of operations to one runner, as the rest of the dispatch sees it."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Protocol

from open_speech.dispatch.frames import Call, Question, T


class RunnerGone(Exception):
    """The runner's process died, or the connection to it broke, before its answer was complete."""


class Link(Protocol):
    """A transport of operations to one runner: in a child process, on a remote server, or in this process.

    Both methods raise RunnerGone if the runner is gone, and BackendFailed if it rejects the operation.
    """

    def call(self, call: Call) -> AsyncGenerator[bytes, None]:
        """Yield the bytes of the frames of an answer. Errors of the runner are ERROR frames. Closing it stops the runner's work."""
        ...

    async def ask(self, question: Question[T]) -> T:
        """Return the answer."""
        ...
