"""Values -> the bytes of server-sent events, by default in OpenAI's form: one `data:` line of JSON, no event name; `[DONE]` ends a chat."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from typing import Any

from open_speech import logs
from open_speech.errors import SpeechError
from open_speech.http.errors import envelope

MEDIA_TYPE = "text/event-stream"
KEEP_ALIVE = b": keep-alive\n\n"
"""A comment, which clients ignore; it keeps proxies from closing an idle connection."""
DONE = b"data: [DONE]\n\n"
"""The end of a complete response of the chat API."""
QUIET_S = 15.0
"""Seconds without an event after which a comment is sent."""


def event(data: Mapping[str, Any]) -> bytes:
    """Encode one event; JSON escapes line breaks, so the data is always one line."""
    return b"data: " + json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode() + b"\n\n"


def named_event(message: Mapping[str, Any]) -> bytes:
    """Encode `{"event": name, "data": …}` as an event with that name; an event without data has an empty object."""
    return f"event: {message['event']}\n".encode() + event(message.get("data", {}))


async def stream(
    events: AsyncGenerator[Mapping[str, Any], None],
    *,
    quiet_s: float = QUIET_S,
    encode: Callable[[Mapping[str, Any]], bytes] = event,
    failure: Callable[[SpeechError], Mapping[str, Any]] = envelope,
    end: bytes = b"",
) -> AsyncGenerator[bytes, None]:
    """Encode events as they arrive, a comment after every `quiet_s` seconds without one, and `end` unless they end in an error.

    `encode` encodes an event, and `failure` builds the one that reports an error.

    A SpeechError before the first event is raised; later it is sent as the last event, because the status was already sent. Closing this
    closes `events`.
    """
    started = False
    async with aclosing(_with_comments(events, quiet_s, encode)) as chunks:
        try:
            async for chunk in chunks:
                started = True
                yield chunk
            if end:
                yield end
        except SpeechError as error:
            if not started:
                raise
            logs.note_error(error.code or error.type)
            yield encode(failure(error))


async def _with_comments(
    events: AsyncGenerator[Mapping[str, Any], None], quiet_s: float, encode: Callable[[Mapping[str, Any]], bytes]
) -> AsyncGenerator[bytes, None]:
    async with aclosing(events):
        upcoming = asyncio.ensure_future(anext(events, None))
        try:
            while True:
                while not (await asyncio.wait({upcoming}, timeout=quiet_s))[0]:
                    yield KEEP_ALIVE
                arrived = upcoming.result()
                if arrived is None:
                    return
                yield encode(arrived)
                upcoming = asyncio.ensure_future(anext(events, None))
        finally:
            upcoming.cancel()
            await asyncio.gather(upcoming, return_exceptions=True)
