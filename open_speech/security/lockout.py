"""A limit on how many API keys a sender may try. Pure; the clock is passed in.

Clients with the same address cannot be distinguished, so a sender that guesses locks out the others. There is one exception: a key that
was accepted from that address recently is still accepted.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field

LIMIT = 20
"""Number of different wrong keys that one sender may try within WINDOW_S."""
WINDOW_S = 60.0
LOCKED_TRIES = 600
"""Requests with other keys within WINDOW_S after which the valid keys of a locked sender are not accepted either.

Such a request is compared with the valid keys of that address, so it is also a guess, and the number of guesses must be limited.
"""
REMEMBERED_S = 3600.0
"""Seconds after its last use for which a valid key is accepted from a locked sender."""
RIGHT_KEYS = 16
"""Valid keys stored for one sender."""
SENDERS = 10_000
"""Maximum number of senders in memory; the one that has been idle for the longest time is removed first."""


def sender_of(network: str, headers: Mapping[str, str], origins: Collection[str] = ()) -> str:
    """Return the sender that a guess counts for: an address, divided into programs, the server's own pages, and pages of other sites.

    A browser sends the origin of a request, and no page can change it. A page of another site therefore cannot lock out programs or the
    server's page at its user's address. A program can claim any of the three, and so has three times the guesses. `origins` are other
    sites that the operator allows.
    """
    if is_foreign_page(headers, origins):
        return f"{network} other pages"
    return network if headers.get("origin") is None else f"{network} own pages"


def is_foreign_page(headers: Mapping[str, str], origins: Collection[str] = ()) -> bool:
    """Return whether the page of another site has caused a request. Programs send neither header that shows it.

    `origins` are other sites that the operator allows.
    """
    origin = headers.get("origin")
    if origin is None:
        return headers.get("sec-fetch-site") == "cross-site"
    return origin not in origins and origin.partition("://")[2] != headers.get("host")


@dataclass(slots=True)
class _Sender:
    wrong: dict[bytes, float] = field(default_factory=dict)
    """Digests of wrong keys, and when each was first tried."""
    right: OrderedDict[bytes, float] = field(default_factory=OrderedDict)
    """Digests of right keys, and when each was last used."""
    tries: int = 0
    """Requests with other keys since `locked_at`."""
    locked_at: float = 0.0


class Guesses:
    """The wrong keys of the last minute and the valid keys of the last hour, by sender.

    Only different wrong keys count: a client that is configured with a wrong key repeats the same key and does not guess.
    """

    def __init__(
        self, *, limit: int = LIMIT, window_s: float = WINDOW_S, senders: int = SENDERS, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`clock` returns seconds."""
        self._limit = limit
        self._window_s = window_s
        self._most = senders
        self._clock = clock
        self._senders: OrderedDict[str, _Sender] = OrderedDict()

    def wait_s(self, sender: str) -> float:
        """Return for how many seconds no new key of this sender is checked; 0 if the sender is not locked."""
        known = self._senders.get(sender)
        if known is None:
            return 0.0
        self._expire(known)
        return 0.0 if len(known.wrong) < self._limit else min(known.wrong.values()) + self._window_s - self._clock()

    def wrong(self, sender: str, digests: Iterable[bytes]) -> None:
        """Record the keys of a request, none of which was valid."""
        known = self._known(sender)
        self._expire(known)
        for digest in digests:
            if digest in known.wrong or len(known.wrong) < self._limit:
                known.wrong.setdefault(digest, self._clock())

    def right(self, sender: str, digest: bytes) -> None:
        """Record a valid key."""
        known = self._known(sender)
        known.right[digest] = self._clock()
        known.right.move_to_end(digest)
        if len(known.right) > RIGHT_KEYS:
            known.right.popitem(last=False)

    def let_through(self, sender: str, digests: Collection[bytes]) -> list[bytes]:
        """Return those keys of a locked sender that were valid recently; a request without such a key counts as a try."""
        known = self._known(sender)
        self._expire(known)
        now = self._clock()
        if now - known.locked_at > self._window_s:
            known.locked_at, known.tries = now, 0
        if known.tries >= LOCKED_TRIES:
            return []
        found = [digest for digest in digests if digest in known.right]
        known.tries += not found
        return found

    def _known(self, sender: str) -> _Sender:
        known = self._senders.setdefault(sender, _Sender())
        self._senders.move_to_end(sender)
        if len(self._senders) > self._most:
            self._senders.popitem(last=False)
        return known

    def _expire(self, sender: _Sender) -> None:
        now = self._clock()
        sender.wrong = {digest: at for digest, at in sender.wrong.items() if at > now - self._window_s}
        while sender.right and next(iter(sender.right.values())) <= now - REMEMBERED_S:
            sender.right.popitem(last=False)
