"""Which addresses may be called on a client's behalf: those of the open network, not those that only this machine or its own network reach.

A name is looked up once, and what it led to is both judged and connected to: a name that changes its mind in between gains nothing.
"""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Awaitable, Callable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from open_speech.errors import InvalidValue

LOOKUP_S = 5.0
"""Seconds that a name may take to be looked up."""
_PRINTED = re.compile(r"[^\s\x00-\x1f\x7f]+")
_NAT64 = IPv6Network("64:ff9b::/96")
_UNICAST = IPv6Network("2000::/3")
"""The only IPv6 addresses of the open network; everything else is local, reserved, or wraps another address."""
_NOT_HOSTS = (IPv6Network("2001::/23"), IPv6Network("3fff::/20"), IPv4Network("192.88.99.0/24"))
"""Within the open networks: protocol assignments (Teredo, ORCHID), documentation, and the retired 6to4 relays."""
_HOST = re.compile(r"[\w-]+(\.[\w-]+)*", re.ASCII)
_NUMBER = re.compile(r"\d+|0x[0-9a-f]*", re.ASCII)
_LOCAL = ("localhost", "localdomain")
_PRIVATE = "its host is not a public address (OS_WEBHOOK_ALLOW_PRIVATE allows private networks)"

Lookup = Callable[[str, int], Awaitable[Sequence[str]]]
"""Takes a host and a port, gives addresses. Raises OSError."""


class Refused(OSError):
    """The name leads to where nobody may be sent."""


async def lookup(host: str, port: int) -> list[str]:
    """Look a name up as the system does. Raises OSError."""
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(LOOKUP_S):
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


def is_public(address: IPv4Address | IPv6Address) -> bool:
    """Return whether an address is one of the open network; of one that wraps another, the inner one counts."""
    if isinstance(address, IPv6Address):
        if address in _NAT64:
            return is_public(IPv4Address(int(address) & 0xFFFFFFFF))
        if (inner := address.ipv4_mapped or address.sixtofour) is not None:
            return is_public(inner)
        if address not in _UNICAST:
            return False
    if any(address in network for network in _NOT_HOSTS):
        return False
    return address.is_global and not address.is_multicast and not address.is_reserved


def literal(host: str) -> IPv4Address | IPv6Address | None:
    """Parse a host that is an address, in every form that some system takes for one; None for a name.

    Those are decimal, octal and hexadecimal numbers, one to four of them, and a dot at the end. Raises ValueError for a host whose last
    label is a number and that is no address: no name ends so (WHATWG URL, "ends in a number").
    """
    host = host.rstrip(".").lower()
    try:
        return ip_address(host)
    except ValueError:
        if not _NUMBER.fullmatch(host.rpartition(".")[2]):
            return None
    try:
        return IPv4Address(socket.inet_aton(host))
    except OSError:
        raise ValueError(f"{host!r} is not an IP address") from None


class Guard(AbstractResolver):
    """Judges addresses; for an HTTP client it is what looks names up."""

    def __init__(self, *, allow_private: bool, lookup: Lookup = lookup) -> None:
        self._allow_private = allow_private
        self._lookup = lookup

    async def check(self, url: str, *, param: str | None = None) -> URL:
        """Read a URL that a client gave. One whose name cannot be looked up just now may be right all the same.

        Raises InvalidValue naming `param` for what is no http(s) URL, or leads to a private address.
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
        """Look a name up, and give those of its addresses that may be called. Raises Refused if there is none, OSError."""
        try:
            found = literal(host)
        except ValueError as wrong:
            raise Refused(str(wrong)) from None
        if found is None and not self._allow_private and host.rstrip(".").lower().rpartition(".")[2] in _LOCAL:
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
        """Hold nothing open."""
