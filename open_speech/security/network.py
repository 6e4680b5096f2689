"""Host names and addresses: which are loopback only, and which names nobody can register publicly. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")
_NEVER_PUBLIC = (".localhost", ".local", ".internal", ".home.arpa", ".test")
"""Suffixes of names that public name servers do not resolve."""


def is_loopback(host: str) -> bool:
    """Return whether a server that listens on this host is reachable from this machine only."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower().rstrip(".") == "localhost"


def networks(names: Iterable[str]) -> tuple[Network, ...]:
    """Parse addresses (`192.168.1.7`) and networks (`192.168.1.0/24`). Raises ValueError naming an entry that is neither."""
    return tuple(ipaddress.ip_network(name, strict=False) for name in names)


def is_in(address: str, allowed: Iterable[Network]) -> bool:
    """Return whether an address is in one of the networks. An IPv4-mapped IPv6 address counts as IPv4; other text is in none."""
    try:
        known = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    mapped = known.ipv4_mapped if isinstance(known, ipaddress.IPv6Address) else None
    return any((mapped or known) in network for network in allowed)


def is_address(text: str) -> bool:
    """Return whether a text is an IP address."""
    try:
        ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return False
    return True


def network_of(address: str) -> str:
    """Return the network of one subscriber: the address itself, or the /64 network of a global IPv6 address.

    A /64 network of link-local or unique local addresses contains the machines of a whole local network, and ::1 is in ::/64.
    """
    try:
        known: ipaddress.IPv4Address | ipaddress.IPv6Address = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(known, ipaddress.IPv6Address):
        known = known.ipv4_mapped or known
    if isinstance(known, ipaddress.IPv6Address) and known in _GLOBAL_UNICAST:
        return str(ipaddress.ip_network((known, 64), strict=False))
    return str(known)


def name_of(host_header: str) -> str:
    """Return the name in a `Host` header in lower case, without the port."""
    if host_header.startswith("["):
        return host_header[1:].partition("]")[0].lower()
    return host_header.partition(":")[0].lower().rstrip(".")


def is_unregistrable(name: str) -> bool:
    """Return whether nobody can register a name publicly: an address, a name without a dot, or one with a private suffix.

    The owner of any other name can make it resolve to 127.0.0.1, so that browsers treat the owner's page as one of this server.
    """
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return "." not in name or name.endswith(_NEVER_PUBLIC)
    return True
