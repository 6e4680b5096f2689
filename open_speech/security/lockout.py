"""Limit how many API keys a sender may try. Pure; the clock is passed in.

Nobody can be told apart behind one address, so a sender that guesses locks out the others there, with one exception: a key that was right
at that address a short while ago is still let through.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field

LIMIT = 20
"""Different wrong keys that one sender may try in WINDOW_S."""
WINDOW_S = 60.0
LOCKED_TRIES = 600
"""Requests with other keys in WINDOW_S after which a locked sender's right keys are not let through either.

Such a request is compared with the right keys of that address, so it is a guess as well, and guesses must have an end.
"""
REMEMBERED_S = 3600.0
"""How long a right key is let through after its last use."""
RIGHT_KEYS = 16
"""Right keys remembered for one sender."""
SENDERS = 10_000
"""Senders that are remembered; the one that has been quiet for the longest time is forgotten first."""


def sender_of(network: str, headers: Mapping[str, str], origins: Collection[str] = ()) -> str:
    """Name whom a guess counts against: an address, and there apart programs, our own pages, and the pages of other sites.

    A browser says which site a request comes from, and no page can change that, so another site's page cannot lock out the programs or
    our page at its user's address. A program can claim any of the three, and so has three times the guesses. `origins` are sites that the
    operator has named as welcome.
    """
    origin = headers.get("origin")
    if origin is None:
        return f"{network} other pages" if headers.get("sec-fetch-site") == "cross-site" else network
    is_ours = origin in origins or origin.partition("://")[2] == headers.get("host")
    return f"{network} own pages" if is_ours else f"{network} other pages"


@dataclass(slots=True)
class _Sender:
    wrong: dict[bytes, float] = field(default_factory=dict)
    """Digests of wrong keys, and when each was first tried."""
    right: OrderedDict[bytes, float] = field(default_factory=OrderedDict)
    """Digests of right keys, and when each was last used."""
    tries: int = 0
    """Requests with other keys since the lock began."""
    locked_at: float = 0.0


class Guesses:
    """The wrong keys of the last minute and the right ones of the last hour, by sender.

    Only different wrong keys count: a client that is configured with a wrong key repeats it for ever and guesses nothing.
    """

    def __init__(
        self, *, limit: int = LIMIT, window_s: float = WINDOW_S, senders: int = SENDERS, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`clock` gives seconds."""
        self._limit = limit
        self._window_s = window_s
        self._most = senders
        self._clock = clock
        self._senders: OrderedDict[str, _Sender] = OrderedDict()

    def wait_s(self, sender: str) -> float:
        """Return for how many seconds no new key of this sender is looked at; 0 if it is."""
        known = self._senders.get(sender)
        if known is None:
            return 0.0
        self._expire(known)
        return 0.0 if len(known.wrong) < self._limit else min(known.wrong.values()) + self._window_s - self._clock()

    def wrong(self, sender: str, digests: Iterable[bytes]) -> None:
        """Remember the keys of a request, none of which was right."""
        known = self._known(sender)
        self._expire(known)
        for digest in digests:
            if digest in known.wrong or len(known.wrong) < self._limit:
                known.wrong.setdefault(digest, self._clock())

    def right(self, sender: str, digest: bytes) -> None:
        """Remember a key that was right."""
        known = self._known(sender)
        known.right[digest] = self._clock()
        known.right.move_to_end(digest)
        if len(known.right) > RIGHT_KEYS:
            known.right.popitem(last=False)

    def let_through(self, sender: str, digests: Collection[bytes]) -> list[bytes]:
        """Return those of a locked sender's keys that were right a short while ago; a request without one counts as a try."""
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
