"""API keys: parsing of the setting, and the lookup of the keys of a request. Pure."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterable
from dataclasses import dataclass, field

_NAMED = re.compile(r"([A-Za-z][\w.-]{0,31}):(.+)", re.DOTALL)

OWNER_DIGITS = 16
"""Hexadecimal digits of the identity of an unnamed key."""


def digest_of(key: str) -> bytes:
    """Return the digest of a key as it was set or sent: 32 bytes.

    Digests are stored and compared instead of keys: they have equal length, and reveal nothing about how much of a guess was correct.
    """
    return hashlib.sha256(key.encode(errors="surrogateescape")).digest()


@dataclass(frozen=True, slots=True)
class Key:
    """One key of the server."""

    name: str
    """Name of its holder in logs and limits, unique on a server."""
    digest: bytes = field(repr=False)
    named: bool = False
    """Whether the setting contains the name; otherwise the server derives it from the position of the key."""

    @property
    def owner(self) -> str:
        """Identity of the holder in stored data: the name in the setting, so that a new key with it keeps access, or else a digest.

        The two forms have different prefixes, so that no name can be the identity of another key.
        """
        if self.named:
            return f"name:{self.name}"
        return f"key:{hashlib.sha256(b'owner' + self.digest).hexdigest()[:OWNER_DIGITS]}"


@dataclass(frozen=True, slots=True)
class KeyRing:
    """All keys of one server; with an empty key ring, requests need no key."""

    keys: tuple[Key, ...] = ()

    @classmethod
    def read(cls, setting: str) -> KeyRing:
        """Parse keys separated by commas, each `key` or `name:key`; a key without a name is called `key-1` by its position.

        Several keys with the same name have the same holder, as while a key is replaced. Raises ValueError without a key in its message.
        """
        entries = [part.strip() for part in setting.split(",")]
        if setting.strip() and not all(entries):
            raise ValueError("there is a comma with no key before or after it")
        split = [named.groups() if (named := _NAMED.fullmatch(part)) else ("", part) for part in filter(None, entries)]
        given = {name for name, _ in split}
        keys = [(name or _generated_name(position, given), key.strip(), bool(name)) for position, (name, key) in enumerate(split, 1)]
        return cls(tuple(Key(name, digest_of(key), named) for name, key, named in keys))

    def find(self, sent: Iterable[str]) -> Key | None:
        """Return the first key that is among those sent. The time does not depend on which one it is, or whether there is one."""
        digests = [digest_of(key) for key in sent]
        found = [key for key in self.keys for digest in digests if hmac.compare_digest(key.digest, digest)]
        return found[0] if found else None

    def __bool__(self) -> bool:
        return bool(self.keys)


def _generated_name(position: int, given: set[str]) -> str:
    """Return the name for an unnamed key by its position, distinct from all given names."""
    name = f"key-{position}"
    while name in given:
        name += "-unnamed"
    return name
