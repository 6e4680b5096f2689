"""Who may connect to a door that knows no keys, and how many at once."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from open_speech.errors import InvalidRequest, Overloaded

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def networks(names: Iterable[str]) -> tuple[Network, ...]:
    """Read addresses (`192.168.1.7`) and networks (`192.168.1.0/24`). Raises ValueError naming what is neither."""
    return tuple(ipaddress.ip_network(name, strict=False) for name in names)


class Admission:
    """The guard at the door."""

    def __init__(self, allowed: tuple[Network, ...] = (), *, seats: int = 32) -> None:
        """Without networks everybody may come in; `seats` is how many at once."""
        self._allowed = allowed
        self._free = seats

    @contextmanager
    def admitted(self, peer: str | None) -> Iterator[None]:
        """Take a seat for a while. Raises InvalidRequest for an address that may not come in, Overloaded when there is no seat.

        None is a peer without an address: one on this machine, which may.
        """
        if peer is not None and not self._is_allowed(peer):
            raise InvalidRequest("Hosts of this address may not connect; OS_WYOMING_ALLOWED_HOSTS lists those that may.")
        if self._free <= 0:
            raise Overloaded("Too many connections are open; OS_WYOMING_MAX_CONNECTIONS limits them.", retry_after_s=5)
        self._free -= 1
        try:
            yield
        finally:
            self._free += 1

    def _is_allowed(self, peer: str) -> bool:
        if not self._allowed:
            return True
        try:
            address = ipaddress.ip_address(peer.partition("%")[0])
        except ValueError:
            return False
        # An IPv4 address that came over IPv6 counts as what it is.
        mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
        return any((mapped or address) in network for network in self._allowed)
