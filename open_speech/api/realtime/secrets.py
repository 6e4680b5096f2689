"""Ephemeral keys, with which a browser may open Realtime sessions for a limited time and nothing else."""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from open_speech.api.realtime.settings import Kind
from open_speech.concurrency.slots import SHARE
from open_speech.errors import Overloaded

PREFIX = "ek_"
PATHS = frozenset({"/v1/realtime"})
"""The paths that an ephemeral key gives access to."""
LIMIT = 1000
"""Maximum keys that are valid at once; each stores a session's configuration."""
SECONDS, MIN_SECONDS, MAX_SECONDS = 600, 10, 7200


@dataclass(frozen=True, slots=True)
class Grant:
    """The configuration of the sessions that a key opens."""

    kind: Kind
    model: str
    configured: Mapping[str, Any]
    """The session as the creator of the key sent it, in the GA protocol."""
    holder: str = ""
    """Name of the API key that created it; its sessions count as that key's."""


class Secrets:
    """The valid keys, stored as digests: the time of a comparison does not reveal how much of a key is right, and no key can leak."""

    def __init__(self, *, limit: int = LIMIT, each: int | None = None, clock: Callable[[], float] = time.time) -> None:
        """`each` is the maximum number of keys, of `limit`, that one API key may create. `clock` returns seconds since 1970."""
        self._limit = limit
        self._each = limit if each is None else each
        self._clock = clock
        self._grants: dict[bytes, tuple[float, Grant]] = {}

    def issue(self, grant: Grant, seconds: int = SECONDS) -> tuple[str, int]:
        """Create a key that is valid for `seconds`; return it and its expiry, in seconds since 1970.

        Raises Overloaded when too many are valid already.
        """
        now = self._clock()
        self._grants = {digest: entry for digest, entry in self._grants.items() if entry[0] > now}
        if len(self._grants) >= self._limit:
            raise Overloaded("Too many ephemeral keys are valid at the moment.", retry_after_s=60)
        if sum(entry[1].holder == grant.holder for entry in self._grants.values()) >= self._each:
            raise Overloaded(f"Your API key has {self._each} valid ephemeral keys; {SHARE} limits them.", retry_after_s=60)
        key, expires_at = PREFIX + secrets.token_urlsafe(32), int(now) + seconds
        self._grants[_digest(key)] = expires_at, grant
        return key, expires_at

    def find(self, keys: Iterable[str]) -> Grant | None:
        """Return the grant of the first of these keys that is valid; None if none is."""
        for key in keys:
            expires_at, grant = self._grants.get(_digest(key), (0.0, None))
            if grant is not None and expires_at > self._clock():
                return grant
        return None

    def opens(self, path: str, key: str) -> bool:
        """Return whether a key gives access to a path."""
        return path in PATHS and self.find([key]) is not None


def is_ephemeral(key: str) -> bool:
    """Return whether a key has the form of an ephemeral key, valid or not."""
    return key.startswith(PREFIX)


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode(errors="surrogateescape")).digest()
