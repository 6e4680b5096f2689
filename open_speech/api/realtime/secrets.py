"""Ephemeral keys, with which a browser may open Realtime sessions for a limited time and nothing else.

The server stores none of them. A key contains the session that it is for, and is signed (`ephemeral_format.py`). Every server with the same
signing keys and API keys therefore accepts it. A server that shares its signing keys with no other keeps a session that is too long for
a key in memory, and the key contains its name.
"""

from __future__ import annotations

import hmac
import secrets
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from open_speech.api.realtime.ephemeral_format import NONCE_BYTES, TAG_BYTES, Record, decoded, encoded
from open_speech.api.realtime.kept_sessions import KeptSessions
from open_speech.api.realtime.settings import Kind
from open_speech.errors import TextTooLong
from open_speech.security.api_keys import Key, KeyRing
from open_speech.security.signing import SigningKeys

_SESSIONS = frozenset({"/v1/realtime", "/v1/realtime/calls"})
PATHS: Mapping[str, frozenset[str]] = {
    "realtime": _SESSIONS,
    "transcription": _SESSIONS,
    "translation": frozenset({"/v1/realtime/translations"}),
}
"""Kind of a session -> the paths that an ephemeral key for it gives access to."""
_ALL_PATHS = frozenset().union(*PATHS.values())
SECONDS, MIN_SECONDS, MAX_SECONDS = 600, 10, 7200


@dataclass(frozen=True, slots=True)
class Grant:
    """The configuration of the sessions that a key opens."""

    kind: Kind | Literal["translation"]
    model: str
    configured: Mapping[str, Any]
    """The session as the creator of the key sent it, in the GA protocol."""
    parent: Key | None = None
    """The API key that created it; None on a server without API keys."""
    is_local_only: bool = False
    """Whether the API key was one of OS_LOCAL_ONLY_KEYS when it created this key, which keeps the restriction."""

    @property
    def holder(self) -> str:
        """Name of the API key that created it; its sessions count as that key's. Empty on a server without API keys."""
        return self.parent.name if self.parent else ""


class Secrets:
    """Creates and verifies ephemeral keys. A key is valid until it expires, as long as the API key that created it is configured."""

    def __init__(self, signing: SigningKeys | None, api_keys: KeyRing, *, clock: Callable[[], float] = time.time) -> None:
        """Without signing keys, a random one is created: keys are then valid in this process only. `clock` returns seconds since 1970."""
        self._kept = None if signing else KeptSessions(clock=clock)
        signing = signing or SigningKeys.random()
        self._signing = signing.for_purpose("open-speech ephemeral key")
        self._parents = signing.for_purpose("open-speech parent of an ephemeral key")
        self._clock = clock
        self._tags: list[tuple[bytes, Key | None]] = [(tag, key) for key in api_keys.keys or (None,) for tag in self._tags_of(key)]

    def issue(self, grant: Grant, seconds: int = SECONDS) -> tuple[str, int]:
        """Create a key that is valid for `seconds`; return it and its expiry, in seconds since 1970.

        Raises TextTooLong, with the field, if the session is too long for a key and cannot be kept here either.
        """
        expires_at = int(self._clock()) + seconds
        body = {"kind": grant.kind, "model": grant.model, "local": grant.is_local_only}
        parent = self._tags_of(grant.parent)[0]

        def key(contents: Mapping[str, Any]) -> str:
            return encoded(Record(expires_at, secrets.token_bytes(NONCE_BYTES), parent, {**body, **contents}), self._signing)

        try:
            return key({"session": grant.configured}), expires_at
        except TextTooLong:
            if self._kept is None or (name := self._kept.keep(grant.configured, expires_at)) is None:
                raise
            return key({"kept": name}), expires_at

    def find(self, keys: Iterable[str]) -> Grant | None:
        """Return the grant of the first of these keys that is valid; None if none is."""
        for key in keys:
            record = decoded(key, self._signing)
            if record is None or record.expires_at <= self._clock():
                continue
            # All are compared, so that the time does not depend on which one it is.
            parents = [parent for tag, parent in self._tags if hmac.compare_digest(tag, record.parent)]
            if parents and (session := self._session_of(record.body)) is not None:
                body = record.body
                return Grant(body["kind"], body["model"], session, parents[0], body["local"])
        return None

    def opens(self, path: str, key: str) -> bool:
        """Return whether a key gives access to a path."""
        if path not in _ALL_PATHS:
            return False
        grant = self.find([key])
        return grant is not None and path in PATHS[grant.kind]

    def _session_of(self, body: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """Return the session of a key; None if it was kept and is not any more."""
        if "session" in body:
            session: Mapping[str, Any] = body["session"]
            return session
        return self._kept.find(body["kept"]) if self._kept else None

    def _tags_of(self, parent: Key | None) -> list[bytes]:
        """Return what identifies an API key, by each signing key. Only its signature is public: a digest would let a client try guesses."""
        return [tag[:TAG_BYTES] for tag in self._parents.signatures(parent.digest if parent else b"")]
