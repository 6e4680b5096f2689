"""Wrong keys by address: who tries many different ones has to wait. Pure; the clock is passed in."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Iterable

LIMIT = 20
"""Different wrong keys that one address may try in WINDOW_S."""
WINDOW_S = 60.0
ADDRESSES = 10_000
"""Addresses that are remembered; the one that was quiet for longest is forgotten first."""


class Guesses:
    """The wrong keys of the last minute.

    Only different ones count: a client that is set up with a wrong key repeats it for ever, guesses nothing, and must not lock out
    the others behind its address.
    """

    def __init__(
        self, *, limit: int = LIMIT, window_s: float = WINDOW_S, addresses: int = ADDRESSES, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`clock` gives seconds."""
        self._limit = limit
        self._window_s = window_s
        self._addresses = addresses
        self._clock = clock
        self._tried: OrderedDict[str, dict[bytes, float]] = OrderedDict()

    def wait_s(self, address: str) -> float:
        """Tell for how many seconds nothing from that address is looked at; 0 if it is."""
        tried = self._recent(address)
        return 0.0 if len(tried) < self._limit else min(tried.values()) + self._window_s - self._clock()

    def wrong(self, address: str, digests: Iterable[bytes]) -> None:
        """Remember the keys of a request, none of which was right."""
        tried = self._recent(address)
        for digest in digests:
            if digest in tried or len(tried) < self._limit:
                tried.setdefault(digest, self._clock())
        self._tried[address] = tried
        self._tried.move_to_end(address)
        if len(self._tried) > self._addresses:
            self._tried.popitem(last=False)

    def _recent(self, address: str) -> dict[bytes, float]:
        since = self._clock() - self._window_s
        return {digest: at for digest, at in self._tried.get(address, {}).items() if at > since}
