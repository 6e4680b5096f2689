"""Names and addresses of machines: which are this machine alone, and which no stranger can own. Pure."""

from __future__ import annotations

import ipaddress

_NEVER_PUBLIC = (".localhost", ".local", ".internal", ".home.arpa", ".test")
"""Ends of names that public name servers do not answer."""


def is_loopback(host: str) -> bool:
    """Tell whether only this machine can reach a server that listens there."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower().rstrip(".") == "localhost"


def network_of(address: str) -> str:
    """Name whom an address stands for: itself, or its /64 network, which is what one subscriber has of IPv6."""
    try:
        known = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(known, ipaddress.IPv6Address):
        return str(known.ipv4_mapped or ipaddress.ip_network((known, 64), strict=False))
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
