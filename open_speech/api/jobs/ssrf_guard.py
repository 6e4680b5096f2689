"""Protection against SSRF: webhooks may call public addresses only, not those of this machine or its private network.

A name is resolved once, and the same addresses are checked and connected to, so that a name whose addresses change gains nothing.
"""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Awaitable, Callable, Sequence
from ipaddress import ip_address

from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from open_speech.errors import InvalidValue
from open_speech.security.public_address import is_local_name, is_public, literal

LOOKUP_S = 5.0
"""Timeout of a name lookup in seconds."""
_PRINTED = re.compile(r"[^\s\x00-\x1f\x7f]+")
_HOST = re.compile(r"[\w-]+(\.[\w-]+)*", re.ASCII)
_PRIVATE = "its host is not a public address (OS_WEBHOOK_ALLOW_PRIVATE allows private networks)"

Lookup = Callable[[str, int], Awaitable[Sequence[str]]]
"""Resolves a host and a port to addresses. Raises OSError."""


class Refused(OSError):
    """The name resolves to addresses that must not be called."""


async def lookup(host: str, port: int) -> list[str]:
    """Resolve a name with the resolver of the system. Raises OSError."""
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(LOOKUP_S):
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


class Guard(AbstractResolver):
    """Checks URLs and addresses; serves as the resolver of an HTTP client."""

    def __init__(self, *, allow_private: bool, lookup: Lookup = lookup) -> None:
        self._allow_private = allow_private
        self._lookup = lookup

    async def check(self, url: str, *, param: str | None = None) -> URL:
        """Parse and check a URL of a client. A name that cannot be resolved at the moment is accepted, because it may be valid.

        Raises InvalidValue naming `param` for anything but an http(s) URL, and for a private address.
        """
        try:
            parsed = URL(url if _PRINTED.fullmatch(url) else "")
            host, port = parsed.raw_host, parsed.port
            is_host = bool(host) and (":" in (host or "") or _HOST.fullmatch((host or "").rstrip(".")) is not None)
            _ = literal(host or "")
        except ValueError:
            raise InvalidValue("The URL is not valid.", param=param) from None
        if parsed.scheme not in ("http", "https") or not host or not is_host or not port:
            raise InvalidValue("The URL must begin with `https://` or `http://` and name a host.", param=param)
        if parsed.user is not None or parsed.password is not None:
            raise InvalidValue("The URL must not contain a user name or a password.", param=param)
        try:
            await self.resolve(host, port)
        except Refused as refused:
            raise InvalidValue(f"The URL is not allowed: {refused}.", param=param) from None
        except (OSError, UnicodeError):
            pass
        return parsed

    async def resolve(self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC) -> list[ResolveResult]:
        """Resolve a name to those of its addresses that may be called. Raises Refused if there are none, or OSError."""
        try:
            found = literal(host)
        except ValueError as wrong:
            raise Refused(str(wrong)) from None
        if found is None and not self._allow_private and is_local_name(host):
            raise Refused(_PRIVATE)
        addresses = [found] if found is not None else [ip_address(one) for one in await self._lookup(host, port)]
        allowed = [address for address in addresses if self._allow_private or is_public(address)]
        if not allowed:
            raise Refused(_PRIVATE)
        return [
            ResolveResult(
                hostname=host,
                host=str(address),
                port=port,
                family=socket.AF_INET if address.version == 4 else socket.AF_INET6,
                proto=socket.IPPROTO_TCP,
                flags=socket.AI_NUMERICHOST,
            )
            for address in allowed
        ]

    async def close(self) -> None:
        """Do nothing: no resource is held."""
