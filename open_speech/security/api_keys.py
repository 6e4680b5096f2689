"""API keys as a setting writes them, and the question whether a request carries one of them. Pure."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterable
from dataclasses import dataclass, field

_NAMED = re.compile(r"([A-Za-z][\w.-]{0,31}):(.+)", re.DOTALL)


def digest_of(key: str) -> bytes:
    """Hash a key as it was set or sent, to 32 bytes.

    Digests are what is kept and compared: they are equally long, and none of them tells how much of a guess was right.
    """
    return hashlib.sha256(key.encode(errors="surrogateescape")).digest()


@dataclass(frozen=True, slots=True)
class Key:
    """One key of the server."""

    name: str
    """What logs and limits call who holds it."""
    digest: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class KeyRing:
    """All keys of one server; an empty one asks for none."""

    keys: tuple[Key, ...] = ()

    @classmethod
    def read(cls, setting: str) -> KeyRing:
        """Read keys separated by commas, each `key` or `name:key`; one without a name is called `key-1` by its place.

        Raises ValueError, which shows no key.
        """
        written = [part.strip() for part in setting.split(",")]
        if setting.strip() and not all(written):
            raise ValueError("there is a comma with no key before or after it")
        return cls(tuple(_key(part, place) for place, part in enumerate(filter(None, written), 1)))

    def find(self, sent: Iterable[str]) -> Key | None:
        """Give the first of our keys that is among those sent; takes equally long whichever it is, or if none is."""
        digests = [digest_of(key) for key in sent]
        found = [key for key in self.keys for digest in digests if hmac.compare_digest(key.digest, digest)]
        return found[0] if found else None

    def __bool__(self) -> bool:
        return bool(self.keys)


def _key(written: str, place: int) -> Key:
    named = _NAMED.fullmatch(written)
    name, key = named.groups() if named else (f"key-{place}", written)
    return Key(name, digest_of(key.strip()))
