"""Who may connect to a door that knows no keys, and how many at once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from open_speech.errors import InvalidRequest, Overloaded
from open_speech.security.network import Network, is_in


class ConnectionLimit:
    """The guard at the door."""

    def __init__(self, allowed: tuple[Network, ...] = (), *, slots: int = 32) -> None:
        """Without networks everybody may come in; `slots` is how many at once."""
        self._allowed = allowed
        self._free = slots

    @contextmanager
    def admitted(self, peer: str | None) -> Iterator[None]:
        """Take a seat for a while. Raises InvalidRequest for an address that may not come in, Overloaded when there is no seat.

        None is a peer without an address: one on this machine, which may.
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
