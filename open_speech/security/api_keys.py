"""API keys as a setting writes them, and the question whether a request carries one of them. Pure."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterable
from dataclasses import dataclass, field

_NAMED = re.compile(r"([A-Za-z][\w.-]{0,31}):(.+)", re.DOTALL)

OWNER_DIGITS = 16
"""Hexadecimal digits of a key's own identity."""


def digest_of(key: str) -> bytes:
    """Hash a key as it was set or sent, to 32 bytes.

    Digests are what is kept and compared: they are equally long, and none of them tells how much of a guess was right.
    """
    return hashlib.sha256(key.encode(errors="surrogateescape")).digest()


@dataclass(frozen=True, slots=True)
class Key:
    """One key of the server."""

    name: str
    """What logs and limits call its holder; no two holders of one server have the same."""
    digest: bytes = field(repr=False)
    named: bool = False
    """Whether the setting gives the name; else the server has made it from the key's place."""

    @property
    def owner(self) -> str:
        """Identity of the holder in what is stored: the given name, so that a new key under it has the old things, or else the key itself.

        The two forms differ in their prefix, so no name can be chosen that is another key's identity.
        """
        if self.named:
            return f"name:{self.name}"
        return f"key:{hashlib.sha256(b'owner' + self.digest).hexdigest()[:OWNER_DIGITS]}"


@dataclass(frozen=True, slots=True)
class KeyRing:
    """All keys of one server; an empty one asks for none."""

    keys: tuple[Key, ...] = ()

    @classmethod
    def read(cls, setting: str) -> KeyRing:
        """Read keys separated by commas, each `key` or `name:key`; one without a name is called `key-1` by its place.

        Several keys under one given name have the same holder, as while a key is changed. Raises ValueError, which shows no key.
        """
        written = [part.strip() for part in setting.split(",")]
        if setting.strip() and not all(written):
            raise ValueError("there is a comma with no key before or after it")
        split = [named.groups() if (named := _NAMED.fullmatch(part)) else ("", part) for part in filter(None, written)]
        given = {name for name, _ in split}
        keys = [(name or _made_up(place, given), key.strip(), bool(name)) for place, (name, key) in enumerate(split, 1)]
        return cls(tuple(Key(name, digest_of(key), named) for name, key, named in keys))

    def find(self, sent: Iterable[str]) -> Key | None:
        """Give the first of our keys that is among those sent; takes equally long whichever it is, or if none is."""
        digests = [digest_of(key) for key in sent]
        found = [key for key in self.keys for digest in digests if hmac.compare_digest(key.digest, digest)]
        return found[0] if found else None

    def __bool__(self) -> bool:
        return bool(self.keys)


def _made_up(place: int, given: set[str]) -> str:
    """Name a key that has no name by its place, other than any that has one."""
    name = f"key-{place}"
    while name in given:
        name += "-unnamed"
    return name
