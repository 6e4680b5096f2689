"""Whether an address or a URL leads to the public internet, and not to this machine or its private network: protection against SSRF."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Callable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from urllib.parse import urlsplit

LOOKUP_S = 5.0
"""Timeout of a name lookup in seconds."""
_NAT64 = IPv6Network("64:ff9b::/96")
_UNICAST = IPv6Network("2000::/3")
"""The only public IPv6 addresses; all others are local, reserved, or contain another address."""
_NOT_HOSTS = (IPv6Network("2001::/23"), IPv6Network("3fff::/20"), IPv4Network("192.88.99.0/24"))
"""Non-public networks within the public ranges: protocol assignments (Teredo, ORCHID), documentation, and the retired 6to4 relays."""
_NUMBER = re.compile(r"\d+|0x[0-9a-f]*", re.ASCII)
_LOCAL = ("localhost", "localdomain")

Lookup = Callable[[str], Sequence[str]]
"""Resolves a host to addresses. Raises OSError."""


class NotPublic(ValueError):
    """A URL that does not lead to the public internet, or not with HTTPS; the message is a clause that begins with `its`."""


def is_public(address: IPv4Address | IPv6Address) -> bool:
    """Return whether an address is public; if it contains another address, that one counts."""
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
    """Parse a host that is an address, in every form that some system accepts; None for a name.

    These forms have one to four decimal, octal or hexadecimal numbers, and possibly a dot at the end. Raises ValueError for a host whose
    last label is a number but that is not an address: no name ends in a number (WHATWG URL, "ends in a number").
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


def is_local_name(host: str) -> bool:
    """Return whether a name is one of this machine by convention (`localhost`, `x.localhost`), whatever a name server returns."""
    return host.rstrip(".").lower().rpartition(".")[2] in _LOCAL


def lookup(host: str) -> list[str]:
    """Resolve a name with the resolver of the system, within LOOKUP_S. Raises OSError."""
    found: list[str] = []
    failed: list[OSError] = []

    def resolve() -> None:
        try:
            found.extend(str(address[0]) for *_, address in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM))
        except (OSError, UnicodeError) as error:
            failed.append(error if isinstance(error, OSError) else OSError(str(error)))

    # A name lookup cannot be cancelled, so the thread ends by itself.
    thread = threading.Thread(target=resolve, name=f"look up {host}", daemon=True)
    thread.start()
    thread.join(LOOKUP_S)
    if thread.is_alive():
        raise TimeoutError(f"the name lookup of {host} took longer than {LOOKUP_S:g} s")
    if failed:
        raise failed[0]
    return list(dict.fromkeys(found))


def require_public_url(url: str, lookup: Lookup | None = lookup) -> None:
    """Raise NotPublic for a URL that is not `https://` to a host whose addresses are all public.

    A name that cannot be resolved at the moment is accepted: a connection to it fails, or a proxy resolves it. With `lookup` None, names
    are not resolved.
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    if parts.scheme != "https":
        raise NotPublic("its URL does not begin with https://")
    try:
        found = literal(host)
    except ValueError as wrong:
        raise NotPublic(f"its host {wrong}") from None
    if found is None and is_local_name(host):
        raise NotPublic("its host is not a public address")
    try:
        addresses = [found] if found is not None else [ip_address(one) for one in (lookup(host) if lookup else ())]
    except OSError:
        return
    if not all(is_public(address) for address in addresses):
        raise NotPublic("its host is not a public address")
