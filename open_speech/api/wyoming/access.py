"""Access control for a protocol without API keys: allowed addresses, and a limit on connections."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from open_speech.errors import InvalidRequest, Overloaded
from open_speech.security.network import Network, is_in


class ConnectionLimit:
    """A limit on the addresses that may connect, and on the number of open connections."""

    def __init__(self, allowed: tuple[Network, ...] = (), *, slots: int = 32) -> None:
        """Without networks, every address may connect. `slots` is the maximum number of open connections."""
        self._allowed = allowed
        self._free = slots

    @contextmanager
    def admitted(self, peer: str | None) -> Iterator[None]:
        """Hold a slot within the block. Raises InvalidRequest for an address that may not connect, Overloaded if no slot is free.

        None is a peer without an address: it is on this machine, and may connect.
        """
        if peer is not None and self._allowed and not is_in(peer, self._allowed):
            raise InvalidRequest("This address may not connect: add it to OS_WYOMING_ALLOWED_HOSTS.")
        if self._free <= 0:
            raise Overloaded("Too many connections are open; OS_WYOMING_MAX_CONNECTIONS limits them.", retry_after_s=5)
        self._free -= 1
        try:
            yield
        finally:
            self._free += 1
