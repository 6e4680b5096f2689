"""Sessions that are too long for an ephemeral key, kept in memory by a server whose keys no other server accepts."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

MOST = 1000
"""Sessions that are kept at the same time, for all API keys."""
MOST_CHARS = 16 * 1024 * 1024
"""Characters that all of them may have as JSON. One session may have 262,144 (`settings.py`)."""


@dataclass(frozen=True, slots=True)
class _Kept:
    session: Mapping[str, Any]
    chars: int
    expires_at: int


class KeptSessions:
    """Sessions by a name that the ephemeral key contains in their place, until the key expires."""

    def __init__(self, *, clock: Callable[[], float]) -> None:
        """`clock` returns seconds since 1970."""
        self._clock = clock
        self._kept: dict[str, _Kept] = {}

    def keep(self, session: Mapping[str, Any], expires_at: int) -> str | None:
        """Keep a session and return its name; None if there is no room for it."""
        self._forget_expired()
        chars = len(json.dumps(session, ensure_ascii=False))
        if len(self._kept) >= MOST or chars + sum(kept.chars for kept in self._kept.values()) > MOST_CHARS:
            return None
        name = secrets.token_urlsafe(12)
        self._kept[name] = _Kept(session, chars, expires_at)
        return name

    def find(self, name: str) -> Mapping[str, Any] | None:
        """Return a session by its name; None if it is not kept any more."""
        self._forget_expired()
        kept = self._kept.get(name)
        return kept.session if kept else None

    def _forget_expired(self) -> None:
        now = self._clock()
        self._kept = {name: kept for name, kept in self._kept.items() if kept.expires_at > now}
