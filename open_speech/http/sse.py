"""Values -> the bytes of server-sent events, as OpenAI frames them: one `data:` line of JSON, no event name, no `[DONE]`."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any

from open_speech import logs
from open_speech.errors import SpeechError
from open_speech.http.errors import envelope

MEDIA_TYPE = "text/event-stream"
KEEP_ALIVE = b": keep-alive\n\n"
"""A comment, which every client drops; it keeps proxies from closing a connection that says nothing."""
QUIET_S = 15.0
"""Seconds without an event after which a comment is sent."""


def event(data: Mapping[str, Any]) -> bytes:
    """Write one event; JSON escapes every line break, so the data is always one line."""
    return b"data: " + json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode() + b"\n\n"


async def stream(events: AsyncGenerator[Mapping[str, Any], None], *, quiet_s: float = QUIET_S) -> AsyncGenerator[bytes, None]:
    """Write events as they come, and a comment after every `quiet_s` seconds without one.

    A SpeechError is raised while nothing was sent; later it is the last event, as the status has gone out. Closing this closes `events`.
    """
    begun = False
    async with aclosing(_waited_for(events, quiet_s)) as chunks:
        try:
            async for chunk in chunks:
                begun = True
                yield chunk
        except SpeechError as error:
            if not begun:
                raise
            logs.note_error(error.code or error.type)
            yield event(envelope(error))


async def _waited_for(events: AsyncGenerator[Mapping[str, Any], None], quiet_s: float) -> AsyncGenerator[bytes, None]:
    async with aclosing(events):
        coming = asyncio.ensure_future(anext(events, None))
        try:
            while True:
                while not (await asyncio.wait({coming}, timeout=quiet_s))[0]:
                    yield KEEP_ALIVE
                arrived = coming.result()
                if arrived is None:
                    return
                yield event(arrived)
                coming = asyncio.ensure_future(anext(events, None))
        finally:
            coming.cancel()
            await asyncio.gather(coming, return_exceptions=True)
