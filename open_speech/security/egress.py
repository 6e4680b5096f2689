"""Whether the audio and the text of the current request may be sent to other servers: the right of its API key, for the engine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_local_only: ContextVar[bool] = ContextVar("local_only", default=False)


def is_local_only() -> bool:
    """Return whether the data of the current request must stay on this server.

    A task or `asyncio.to_thread` has the right of the code that started it.
    """
    return _local_only.get()


@contextmanager
def keeping(*, local_only: bool) -> Iterator[None]:
    """Set the right for the block and the tasks that it starts. A block within a local one stays local."""
    token = _local_only.set(local_only or _local_only.get())
    try:
        yield
    finally:
        _local_only.reset(token)
