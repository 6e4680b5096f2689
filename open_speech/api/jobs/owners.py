"""The owner of a job: the holder of the API key of the request."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request

from open_speech.config import Settings
from open_speech.http.caller import KEY_NAME
from open_speech.security.api_keys import KeyRing


def owner_of(key_name: str | None, keys: KeyRing) -> str:
    """Return the identity of the holder of a key (`Key.owner`), which is stored with a job. Empty without keys."""
    return next((key.owner for key in keys.keys if key.name == key_name), "")


def is_local_only(owner: str, settings: Settings) -> bool:
    """Return whether data of a job must stay on this server: its owner has only such keys, or no key any more and there are such keys."""
    free = {key.owner for key in settings.keys.keys if not settings.is_local_only(key.name)}
    return bool(settings.os_local_only_keys) and owner not in free


async def _owner(request: Request) -> str:
    return owner_of(request.scope.get(KEY_NAME), request.app.state.settings.keys)


OwnerDep = Annotated[str, Depends(_owner)]
