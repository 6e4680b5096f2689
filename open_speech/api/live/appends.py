"""The texts that a client appends to a Live session, until their place on the timeline is acknowledged. Pure."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any

from open_speech.api.live.errors import ContextIncomplete, TooManyPending, failure
from open_speech.api.live.timeline import grid_up

DELAY_MS = 600
"""Minimum milliseconds from an append to its place on the timeline."""
MOST_PENDING = 64
"""Maximum appends that are not acknowledged yet."""


@dataclass(frozen=True, slots=True)
class _Append:
    type: str
    at_ms: int
    client_event_id: str | None


class Appends:
    """The appends that are not acknowledged, in the order in which they arrived."""

    def __init__(self) -> None:
        self._pending: deque[_Append] = deque()

    def check_room(self) -> None:
        """Raise TooManyPending if no further append can be taken."""
        if len(self._pending) >= MOST_PENDING:
            raise TooManyPending(f"{MOST_PENDING} appends are not acknowledged yet; they are when the input audio advances.")

    def add(self, type: str, client_event_id: str | None, now_ms: int) -> None:
        """Add an append, with the type of its event, at the current time of the session."""
        self._pending.append(_Append(type, grid_up(now_ms + DELAY_MS), client_event_id))

    def due(self, now_ms: int) -> list[dict[str, Any]]:
        """Return the acknowledgements whose time has come."""
        events: list[dict[str, Any]] = []
        while self._pending and self._pending[0].at_ms <= now_ms:
            append = self._pending.popleft()
            event: dict[str, Any] = {"type": f"{append.type}ed", "start_ms": append.at_ms, "end_ms": append.at_ms}
            events.append(event | ({} if append.client_event_id is None else {"client_event_id": append.client_event_id}))
        return events

    def unplaced(self) -> list[dict[str, Any]]:
        """Return an error for each append that has no place at the end of the session."""
        pending, self._pending = self._pending, deque()
        error = ContextIncomplete("The session ended before the appended text had its place on the timeline.")
        return [failure(error, append.client_event_id) for append in pending]
