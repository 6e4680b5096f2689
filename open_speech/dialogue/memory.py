"""The memory of dialogues: the earlier turns of each session, within limits. Pure: times are passed in, in seconds since 1970."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace

CHARS_PER_TOKEN = 4
"""Characters of one token, for text whose tokens nobody counted."""


@dataclass(frozen=True, slots=True)
class SessionKey:
    """A session of one client. Sessions of two owners are different, even if their ids are equal."""

    owner: str
    """Identity of the API key; empty for a server without keys."""
    id: str
    """The id that the client chose."""

    @property
    def digest(self) -> str:
        """A name for a file, in 64 hexadecimal digits: an id may contain anything."""
        return hashlib.sha256(f"{len(self.owner)}:{self.owner}{self.id}".encode("utf-8", "surrogatepass")).hexdigest()


@dataclass(frozen=True, slots=True)
class Turn:
    """One exchange: what the user said, and the answer."""

    user: str
    assistant: str
    tokens: int
    """Size of both, counted by the model or estimated."""


@dataclass(frozen=True, slots=True)
class Conversation:
    """The turns of one session, oldest first."""

    turns: tuple[Turn, ...] = ()
    used_at: float = 0.0


@dataclass(frozen=True, slots=True)
class Bounds:
    """The limits of a memory."""

    turns: int = 20
    tokens: int = 2048
    ttl_s: float = 3600.0
    sessions: int = 1000
    sessions_each: int = 1000
    """Maximum sessions of one owner."""


def estimated_tokens(text: str) -> int:
    """Estimate the number of tokens of a text; at least 1."""
    return max(1, -(-len(text) // CHARS_PER_TOKEN))


def within(turns: Sequence[Turn], bounds: Bounds) -> tuple[Turn, ...]:
    """Return the newest turns that are within the limits."""
    kept: list[Turn] = []
    tokens = 0
    for turn in reversed(turns[-bounds.turns :] if bounds.turns else ()):
        tokens += turn.tokens
        if tokens > bounds.tokens:
            break
        kept.append(turn)
    return tuple(reversed(kept))


class Memory:
    """All sessions of a server. Methods that may forget sessions return the keys of these."""

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._sessions: OrderedDict[SessionKey, Conversation] = OrderedDict()
        """In order of their last use."""

    def get(self, key: SessionKey, now: float) -> Conversation:
        """Return a session; an empty one if it does not exist or has expired."""
        found = self._sessions.get(key)
        return Conversation(used_at=now) if found is None or self._has_expired(found, now) else found

    def find(self, key: SessionKey) -> Conversation | None:
        """Return a session that was not forgotten; None if there is none."""
        return self._sessions.get(key)

    def add(self, key: SessionKey, turn: Turn, now: float) -> list[SessionKey]:
        """Add a turn to a session, which becomes the most recently used one."""
        turns = within((*self.get(key, now).turns, turn), self._bounds)
        self._sessions[key] = Conversation(turns, now)
        self._sessions.move_to_end(key)
        return self._trim(key.owner, now)

    def restore(self, sessions: dict[SessionKey, Conversation], now: float) -> list[SessionKey]:
        """Add the sessions of an earlier process. Those that are in memory already stay as they are."""
        for key, conversation in sessions.items():
            self._sessions.setdefault(key, replace(conversation, turns=within(conversation.turns, self._bounds)))
        self._sessions = OrderedDict(sorted(self._sessions.items(), key=lambda item: item[1].used_at))
        return [gone for owner in {key.owner for key in sessions} for gone in self._trim(owner, now)]

    def forget(self, key: SessionKey) -> bool:
        """Forget a session; return whether it existed."""
        return self._sessions.pop(key, None) is not None

    def expire(self, now: float) -> list[SessionKey]:
        """Forget the sessions that have expired."""
        gone: list[SessionKey] = []
        for key, conversation in self._sessions.items():  # the least recently used first
            if not self._has_expired(conversation, now):
                break
            gone.append(key)
        for key in gone:
            del self._sessions[key]
        return gone

    def of(self, owner: str, now: float) -> dict[str, Conversation]:
        """Return the sessions of an owner by their ids, the most recently used first."""
        own = [(key.id, found) for key, found in reversed(self._sessions.items()) if key.owner == owner]
        return {name: found for name, found in own if not self._has_expired(found, now)}

    def _trim(self, owner: str, now: float) -> list[SessionKey]:
        gone = self.expire(now)
        own = [key for key in self._sessions if key.owner == owner]
        for key in own[: max(0, len(own) - self._bounds.sessions_each)]:
            del self._sessions[key]
            gone.append(key)
        while len(self._sessions) > self._bounds.sessions:
            gone.append(self._sessions.popitem(last=False)[0])
        return gone

    def _has_expired(self, conversation: Conversation, now: float) -> bool:
        return now - conversation.used_at >= self._bounds.ttl_s
