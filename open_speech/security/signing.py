"""Signing keys: HMAC-SHA256 of values that the server hands to clients and gets back, with keys that can be rotated. Pure."""

from __future__ import annotations

import hmac
import secrets
from dataclasses import dataclass, field

MIN_CHARS = 32
"""Minimum characters of a signing key, so that it cannot be guessed from a value that it signed."""
MAX_KEYS = 8
"""Maximum number of signing keys: each is tried for every value that a client sends."""
SIGNATURE_BYTES = 32


@dataclass(frozen=True, slots=True)
class SigningKeys:
    """The signing keys of a server, at least one. The first one signs; all of them verify."""

    keys: tuple[bytes, ...] = field(repr=False)

    @classmethod
    def read(cls, setting: str) -> SigningKeys | None:
        """Parse keys separated by commas; None for an empty setting. Raises ValueError without a key in its message."""
        if not setting.strip():
            return None
        keys = [part.strip() for part in setting.split(",")]
        if any(len(key) < MIN_CHARS for key in keys):
            raise ValueError(f"each signing key must have at least {MIN_CHARS} characters; `openssl rand -hex 32` prints a new one")
        if len(keys) > MAX_KEYS:
            raise ValueError(f"there are {len(keys)} signing keys; at most {MAX_KEYS} are accepted")
        return cls(tuple(key.encode(errors="surrogateescape") for key in keys))

    @classmethod
    def random(cls) -> SigningKeys:
        """Create one key that nobody else has: what it signs is valid in this process only."""
        return cls((secrets.token_bytes(SIGNATURE_BYTES),))

    def for_purpose(self, purpose: str) -> SigningKeys:
        """Derive keys for one use, so that a value signed for one purpose is not valid for another."""
        return SigningKeys(tuple(hmac.digest(key, purpose.encode(), "sha256") for key in self.keys))

    def sign(self, data: bytes) -> bytes:
        """Return the signature of the first key: 32 bytes."""
        return self.signatures(data)[0]

    def signatures(self, data: bytes) -> tuple[bytes, ...]:
        """Return the signature of each key: 32 bytes each."""
        return tuple(hmac.digest(key, data, "sha256") for key in self.keys)

    def verify(self, data: bytes, signature: bytes) -> bool:
        """Return whether one of the keys made a signature. The time does not depend on which one, or on how much of it is right."""
        return any([hmac.compare_digest(own, signature) for own in self.signatures(data)])
