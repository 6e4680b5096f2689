"""Restriction of the web pages that may use this server: any page in a browser on the server's machine or network can reach it.

Without keys, only its place in the network protects a server. Pages of other origins must therefore not reach it by any of these ways:
- a WebSocket, which browsers open across origins without permission of the server;
- a form, which needs no permission either, although the page cannot read the response;
- a host name of the page's own that resolves to this server (DNS rebinding), which browsers treat as the same origin.
With keys, a page must send one: browsers store no key of this server that another page could use.
"""

from __future__ import annotations

from collections.abc import Collection

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from open_speech.errors import NotWelcome
from open_speech.http.caller import turn_away
from open_speech.http.websockets import is_allowed_origin
from open_speech.security.network import is_unregistrable, name_of

_HARMLESS = ("GET", "HEAD", "OPTIONS")
"""Methods that change nothing; CORS determines whether a page can read their responses."""


class OriginCheck:
    """ASGI middleware that rejects requests to foreign host names and requests from pages of other origins."""

    def __init__(self, app: ASGIApp, *, origins: Collection[str] | None, hosts: Collection[str] | None) -> None:
        """`origins` are allowed besides the server's own pages, `hosts` besides names that cannot be registered. None allows all."""
        self._app = app
        self._origins = origins
        self._hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or return 403 before its body is read."""
        error = self._error_of(scope) if scope["type"] in ("http", "websocket") else None
        if error is None:
            await self._app(scope, receive, send)
        else:
            await turn_away(error, scope, receive, send)

    def _error_of(self, scope: Scope) -> NotWelcome | None:
        headers = Headers(scope=scope)
        if self._hosts is not None and not is_own_host(headers.get("host", ""), self._hosts):
            return NotWelcome("This is not a host name of this server: add it to OS_ALLOWED_HOSTS, or set OS_API_KEY.")
        # WebSocket endpoints check the origin themselves, because they can report the reason (http/websockets.py).
        changes_state = scope["type"] == "http" and scope["method"] not in _HARMLESS
        if changes_state and self._origins is not None and not is_allowed_origin(headers, self._origins):
            return NotWelcome("Pages of this origin may not call this server: add the origin to OS_CORS_ORIGINS, or set OS_API_KEY.")
        return None


def is_own_host(host: str, names: Collection[str]) -> bool:
    """Return whether a `Host` header names this server: one of `names` (`*.example.org` for subdomains, `*` for any), or unregistrable."""
    name = name_of(host)
    if is_unregistrable(name) or "*" in names or name in names:
        return True
    return any(pattern.startswith("*.") and name.endswith(pattern[1:]) for pattern in names)
