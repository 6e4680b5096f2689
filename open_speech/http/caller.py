"""The caller of a request: the name of its API key, or its address. Also rejects requests before they reach the app."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from starlette.datastructures import Headers
from starlette.types import Receive, Scope, Send

from open_speech.errors import SpeechError
from open_speech.http.errors import error_response
from open_speech.security.network import Network, is_address, is_in, network_of

KEY_NAME = "open_speech.key"
"""Key of the ASGI scope for the name of the request's API key: None without a valid key, absent if the server has no keys."""


def is_unauthenticated(scope: Scope) -> bool:
    """Return whether the server has API keys and the request has no valid one. Such clients receive no details of the server."""
    return scope.get(KEY_NAME, "") is None


def holder_of(scope: Scope) -> str:
    """Return the name of the request's API key; empty if the server has no keys, and for an ephemeral key."""
    return scope.get(KEY_NAME) or ""


@dataclass(frozen=True, slots=True)
class Proxies:
    """The reverse proxies in front of the server whose `X-Forwarded-For` entries are trusted."""

    count: int = 0
    """Maximum number of proxies that a request passes. 0 with `trusted` set: any number."""
    trusted: tuple[Network, ...] = ()
    """Addresses of the proxies. Without them and `unix`, every peer is treated as the last of `count` proxies."""
    unix: bool = False
    """Clients of a Unix socket, which have no address, are proxies."""

    def __bool__(self) -> bool:
        return bool(self.count or self.trusted or self.unix)

    def include(self, address: str) -> bool:
        """Return whether an address is in `trusted`; for the empty address of a Unix socket client, whether `unix` is set."""
        return is_in(address, self.trusted) if address else self.unix


NO_PROXIES = Proxies()


def address_of(scope: Scope, proxies: Proxies) -> str:
    """Return the client address of a request behind the given proxies; empty for a client of a Unix socket.

    Each proxy appends the address that connected to it to `X-Forwarded-For`. Entries further left are claims of the client.
    With `trusted` or `unix`, entries are read from the right, as long as the address that appended the entry is one of the proxies.
    """
    direct = str((scope.get("client") or ("",))[0])
    if not proxies:
        return direct
    header = Headers(scope=scope).getlist("x-forwarded-for")
    chain = [_without_port(part.strip()) for value in header for part in value.split(",")]
    if not (proxies.trusted or proxies.unix):
        return chain[-proxies.count] if len(chain) >= proxies.count and chain[-proxies.count] else direct
    address = direct
    for entry in reversed(chain[-proxies.count :]):  # a count of 0 takes the whole chain
        if not proxies.include(address) or not is_address(entry):
            break
        address = entry
    return address


def caller_of(scope: Scope, proxies: Proxies) -> str:
    """Return the identity that limits count: the holder of an API key, or else an address."""
    key = scope.get(KEY_NAME)
    return f"key {key}" if key else f"address {network_of(address_of(scope, proxies))}"


async def turn_away(
    error: SpeechError, scope: Scope, receive: Receive, send: Send, *, headers: Mapping[str, str] | None = None, code: int = 1008
) -> None:
    """Reject a request or a WebSocket handshake with an error. `code` closes a WebSocket if the server cannot send an HTTP response."""
    if scope["type"] == "websocket" and "websocket.http.response" not in scope.get("extensions", {}):
        await send({"type": "websocket.close", "code": code, "reason": error.code or ""})
    else:
        await error_response(error, headers)(scope, receive, send)


def _without_port(address: str) -> str:
    """Remove the port, which some proxies append: `1.2.3.4:5678` or `[::1]:5678`."""
    if address.startswith("["):
        return address[1:].partition("]")[0]
    return address.partition(":")[0] if address.count(":") == 1 else address
