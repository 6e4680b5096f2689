"""Who asks: the name of the key, or the address; and how somebody is turned away before the app has seen the request."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.datastructures import Headers
from starlette.types import Receive, Scope, Send

from open_speech.errors import SpeechError
from open_speech.hosts import network_of
from open_speech.openai.errors import error_response

KEY_NAME = "open_speech.key"
"""Where a request's scope has the name of the key it came with: None for a request without one, absent where no key is asked for."""


def is_stranger(scope: Scope) -> bool:
    """Tell whether the server has keys and the request came with none; a stranger is told nothing of what is served."""
    return scope.get(KEY_NAME, "") is None


def address_of(scope: Scope, proxies: int) -> str:
    """Give the address a request comes from, behind so many proxies of ours.

    Each proxy appends the address it was asked from to `X-Forwarded-For`. What stands further left is what the client claims.
    """
    direct = str((scope.get("client") or ("",))[0])
    if not proxies:
        return direct
    told = [part.strip() for value in Headers(scope=scope).getlist("x-forwarded-for") for part in value.split(",")]
    return _without_port(told[-proxies]) if len(told) >= proxies and told[-proxies] else direct


def caller_of(scope: Scope, proxies: int) -> str:
    """Name whom a limit counts: the holder of a key, or else an address."""
    key = scope.get(KEY_NAME)
    return f"key {key}" if key else f"address {network_of(address_of(scope, proxies))}"


async def turn_away(
    error: SpeechError, scope: Scope, receive: Receive, send: Send, *, headers: Mapping[str, str] | None = None, code: int = 1008
) -> None:
    """Answer a request, or the opening of a WebSocket, with an error; `code` closes a WebSocket whose server can give no answer."""
    if scope["type"] == "websocket" and "websocket.http.response" not in scope.get("extensions", {}):
        await send({"type": "websocket.close", "code": code, "reason": error.code or ""})
    else:
        await error_response(error, headers)(scope, receive, send)


def _without_port(address: str) -> str:
    """Some proxies write `1.2.3.4:5678` or `[::1]:5678`."""
    if address.startswith("["):
        return address[1:].partition("]")[0]
    return address.partition(":")[0] if address.count(":") == 1 else address
