"""Which web pages may use this server. A browser that is on the server's machine, or in its network, lends its place to every page.

Without keys, the place of a caller is all that protects a server. So a page of somebody else must not reach it: not by a
WebSocket, which browsers open across origins without asking; not by a form, which needs no permission either, only its
answer cannot be read; and not by a name of its own that it makes lead here (DNS rebinding), which browsers take for our page.
With a key, a page must have it: browsers keep none for us that another page could use.
"""

from __future__ import annotations

from collections.abc import Collection

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from open_speech.errors import NotWelcome
from open_speech.http.caller import turn_away
from open_speech.http.websockets import is_welcome
from open_speech.security.network import is_nobodys, name_of

_HARMLESS = ("GET", "HEAD", "OPTIONS")
"""Methods that change nothing; whether a page can read their answers is said by CORS."""


class OriginCheck:
    """ASGI middleware that turns away what comes by a name that is not ours, and what pages of others send."""

    def __init__(self, app: ASGIApp, *, origins: Collection[str] | None, hosts: Collection[str] | None) -> None:
        """`origins` may send besides our own pages; `hosts` are our names besides those that nobody else can have. None: anybody, any."""
        self._app = app
        self._origins = origins
        self._hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer 403 before any of its body is read."""
        error = self._trouble(scope) if scope["type"] in ("http", "websocket") else None
        if error is None:
            await self._app(scope, receive, send)
        else:
            await turn_away(error, scope, receive, send)

    def _trouble(self, scope: Scope) -> NotWelcome | None:
        headers = Headers(scope=scope)
        if self._hosts is not None and not is_our_name(headers.get("host", ""), self._hosts):
            return NotWelcome("This is not a host name of this server: add it to OS_ALLOWED_HOSTS, or set OS_API_KEY.")
        # A WebSocket's door asks itself, as it can tell why (http/websockets.py).
        sends = scope["type"] == "http" and scope["method"] not in _HARMLESS
        if sends and self._origins is not None and not is_welcome(headers, self._origins):
            return NotWelcome("Pages of this origin may not call this server: add the origin to OS_CORS_ORIGINS, or set OS_API_KEY.")
        return None


def is_our_name(host: str, names: Collection[str]) -> bool:
    """Tell whether a `Host` header names this server: one of `names` (`*.example.org` for all below, `*` for any), or a name of nobody."""
    name = name_of(host)
    if is_nobodys(name) or "*" in names or name in names:
        return True
    return any(pattern.startswith("*.") and name.endswith(pattern[1:]) for pattern in names)
