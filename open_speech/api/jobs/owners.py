"""Whose a job is: the holder's of the key that came with the request."""

from __future__ import annotations

import hashlib
from typing import Annotated

from fastapi import Depends, Request

from open_speech.callers import KEY_NAME
from open_speech.keys import KeyRing

_DIGITS = 16


def owner_of(key_name: str | None, keys: KeyRing) -> str:
    """Name the owner for a job's record: what the key is called, so that a new key under the old name has the old jobs.

    A key without a name is called by its place, which may be another key's tomorrow: it is told by what it is. Empty without keys.
    """
    for place, key in enumerate(keys.keys, 1):
        if key.name == key_name:
            return key.name if key.name != f"key-{place}" else hashlib.sha256(b"owner" + key.digest).hexdigest()[:_DIGITS]
    return ""


async def _owner(request: Request) -> str:
    return owner_of(request.scope.get(KEY_NAME), request.app.state.settings.keys)


OwnerDep = Annotated[str, Depends(_owner)]
