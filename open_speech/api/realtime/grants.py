"""The ephemeral key of a request, and what it was created for."""

from __future__ import annotations

from starlette.requests import HTTPConnection

from open_speech.api.realtime.ephemeral_format import is_ephemeral
from open_speech.api.realtime.secrets import Grant, Secrets
from open_speech.config import Settings
from open_speech.errors import Unauthorized
from open_speech.http.caller import holder_of
from open_speech.http.middleware.auth import MOST_KEYS, presented_keys
from open_speech.security.api_keys import Key
from open_speech.webrtc.calls import Owner


def grant_of(connection: HTTPConnection) -> Grant | None:
    """Return the grant of a request's ephemeral key, if it has one. Raises Unauthorized for a key that is no longer valid."""
    secrets: Secrets = connection.app.state.realtime_secrets
    keys = _keys(connection)
    grant = secrets.find(keys)
    if grant is None and keys and all(is_ephemeral(key) for key in keys):
        raise Unauthorized("The ephemeral key is invalid or has expired.")
    return grant


def parent_of(connection: HTTPConnection) -> Key | None:
    """Return the API key of a request, which becomes the parent of the ephemeral keys that it creates; None on a server without keys."""
    settings: Settings = connection.app.state.settings
    return settings.keys.find(presented_keys(connection.headers, settings.os_api_key_header))


def is_local_only(connection: HTTPConnection, grant: Grant | None) -> bool:
    """Return whether audio and text of a request must not be sent to other servers.

    The middleware knows the right of an API key; an ephemeral key has that of the key that created it, then and now.
    """
    settings: Settings = connection.app.state.settings
    if grant is None:
        return settings.is_local_only(holder_of(connection.scope))
    return grant.is_local_only or settings.is_local_only(grant.holder)


def owner_of(connection: HTTPConnection, grant: Grant | None) -> Owner:
    """Return who owns the calls that a request makes: an API key, or an ephemeral key, which owns no calls of other keys."""
    if grant is None:
        return Owner(holder_of(connection.scope))
    return Owner(grant.holder, next(key for key in _keys(connection) if is_ephemeral(key)))


def _keys(connection: HTTPConnection) -> list[str]:
    settings: Settings = connection.app.state.settings
    # A server without API keys has not limited their number yet.
    return presented_keys(connection.headers, settings.os_api_key_header)[:MOST_KEYS]
