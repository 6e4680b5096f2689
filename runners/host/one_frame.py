"""A result that is one frame, made in a thread, with PROGRESS frames until it is there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable

from open_speech.concurrency.blocking_iterators import Pool
from open_speech.dispatch.frames import Frame, Kind


async def one_frame(make: Callable[[], Frame], turn: Pool, heartbeat_s: float) -> AsyncGenerator[Frame, None]:
    """Yield a PROGRESS frame every `heartbeat_s` seconds while `make` waits for its turn and runs, and then what it returns."""
    running = asyncio.wrap_future(turn.submit(make))
    try:
        while not (await asyncio.wait({running}, timeout=heartbeat_s))[0]:
            yield Frame(Kind.PROGRESS, b"{}")
        yield running.result()
    finally:
        running.cancel()  # work that is still in the queue never starts
