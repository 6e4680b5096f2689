"""The API key: who may pass, for HTTP and WebSocket alike."""

from __future__ import annotations

import hmac

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from open_speech.errors import Unauthorized
from open_speech.openai.errors import error_response

OPEN_PATHS = frozenset({"/", "/health", "/docs", "/docs/oauth2-redirect", "/openapi.json"})
"""What a probe or a reader of the documentation may see without a key."""
BROWSER_PROTOCOL = "openai-insecure-api-key."
"""Prefix of the WebSocket subprotocol in which a browser, which cannot set headers there, hands over the key."""


def presented_keys(headers: Headers) -> list[str]:
    """List the keys a request carries: bearer token, `X-API-Key`, Azure's `api-key`, or a browser's subprotocol."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    keys = [token.strip()] if scheme.lower() == "bearer" else []
    keys += [headers[name] for name in ("x-api-key", "api-key") if name in headers]
    protocols = (name.strip() for name in headers.get("sec-websocket-protocol", "").split(","))
    keys += [name.removeprefix(BROWSER_PROTOCOL) for name in protocols if name.startswith(BROWSER_PROTOCOL)]
    return [key for key in keys if key]


class ApiKey:
    """ASGI middleware that lets a request pass if one of the keys it carries is the right one."""

    def __init__(self, app: ASGIApp, *, key: str) -> None:
        self._app = app
        self._key = key.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer 401 before any of its body is read."""
        if scope["type"] not in ("http", "websocket") or scope["path"] in OPEN_PATHS:
            await self._app(scope, receive, send)
            return
        keys = presented_keys(Headers(scope=scope))
        # Starlette reads header bytes as Latin-1; this gives back the bytes that were sent.
        if any(hmac.compare_digest(key.encode("latin-1"), self._key) for key in keys):
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket" and "websocket.http.response" not in scope.get("extensions", {}):
            await send({"type": "websocket.close", "code": 1008, "reason": "invalid_api_key"})
        else:
            problem = "The API key is wrong." if keys else "No API key was sent; send `Authorization: Bearer …`."
            await error_response(Unauthorized(problem), {"WWW-Authenticate": "Bearer"})(scope, receive, send)
