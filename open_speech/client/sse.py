"""Server-sent events: bytes in, events out. Pure."""

from __future__ import annotations

import json

from open_speech.client.bodies import Event
from open_speech.client.errors import from_event


class EventParser:
    """Parses the events of one response: JSON objects in lines that begin with `data:`."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[Event]:
        """Take the next bytes; return the complete events. Raises APIError for an event that reports an error."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        events: list[Event] = []
        for line in lines:
            name, _, value = line.strip().partition(b":")
            if name == b"data" and value.strip() != b"[DONE]":
                events.append(json.loads(value))
        for event in events:
            if "error" in event and "type" not in event and "id" not in event:
                raise from_event(event)
        return events
