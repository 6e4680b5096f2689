"""Names and addresses of machines: which are this machine alone, and which no stranger can own. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")
_NEVER_PUBLIC = (".localhost", ".local", ".internal", ".home.arpa", ".test")
"""Ends of names that public name servers do not answer."""


def is_loopback(host: str) -> bool:
    """Tell whether only this machine can reach a server that listens there."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower().rstrip(".") == "localhost"


def networks(names: Iterable[str]) -> tuple[Network, ...]:
    """Parse addresses (`192.168.1.7`) and networks (`192.168.1.0/24`). Raises ValueError naming an entry that is neither."""
    return tuple(ipaddress.ip_network(name, strict=False) for name in names)


def is_in(address: str, allowed: Iterable[Network]) -> bool:
    """Return whether an address lies in one of the networks. An IPv4 address in IPv6 notation counts as IPv4; other text is in none."""
    try:
        known = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    mapped = known.ipv4_mapped if isinstance(known, ipaddress.IPv6Address) else None
    return any((mapped or known) in network for network in allowed)


def is_address(text: str) -> bool:
    """Return whether text is an IP address."""
    try:
        ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return False
    return True


def network_of(address: str) -> str:
    """Name whom an address stands for: itself, or its /64 network where that is what one subscriber has: in global IPv6 addresses.

    A /64 of link-local or of unique local addresses holds the machines of a whole network, and ::1 is one of ::/64.
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
    """Take the name out of a `Host` header, without its port, in lower case."""
    if host_header.startswith("["):
        return host_header[1:].partition("]")[0].lower()
    return host_header.partition(":")[0].lower().rstrip(".")


def is_nobodys(name: str) -> bool:
    """Tell whether no stranger can have this name lead here: an address, a name without a dot, or one that is never public.

    Any other name belongs to somebody, who can have it lead to 127.0.0.1 and so make a page of his one of ours.
    """
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return "." not in name or name.endswith(_NEVER_PUBLIC)
    return True
