"""Messages of a Live connection: the next one of the client, read whole within a limit, and the ids of those of the server."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from open_speech.api.realtime.client_messages import InvalidEvent, Message, parse_message
from open_speech.api.realtime.opening import new_id
from open_speech.concurrency.blocking_iterators import in_turn
from open_speech.http.inbox import Inbox

INLINE_CHARS = 1 << 16
"""Messages with more characters are parsed off the event loop."""


async def next_message(inbox: Inbox, longest: int) -> Message:
    """Wait for a message, and parse it; one that is binary or longer than `longest` characters has an error."""
    texts: list[str] = []
    size, is_binary = 0, False
    while True:
        part = await inbox.part()
        size += len(part.data)
        is_binary = is_binary or isinstance(part.data, bytes)
        if size > longest or is_binary:
            texts.clear()
        elif isinstance(part.data, str):
            texts.append(part.data)
        if part.is_last:
            break
    if is_binary:
        return Message({}, InvalidEvent("Events are text messages with JSON; audio is in base64."))
    if size > longest:
        return Message({}, InvalidEvent(f"The event is longer than {longest} bytes."))
    return await in_turn(parse_message, *texts) if size > INLINE_CHARS else parse_message("".join(texts))


def with_id(message: Mapping[str, Any]) -> dict[str, Any]:
    """Return a message of the server with an id of its own."""
    return {"type": message["type"], "event_id": new_id("event"), **message}
