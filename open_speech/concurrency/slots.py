"""A limited number of slots, such as open connections, of which no API key may use more than its share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from open_speech.errors import Overloaded

RETRY_S = 5.0
SHARE = "OS_KEY_SHARE"


class Slots:
    """The slots of one server for connections, or for what `kind` names. Used in one event loop."""

    def __init__(
        self, count: int, setting: str = "OS_STREAM_MAX_CONNECTIONS", *, each: int | None = None, kind: str = "connections"
    ) -> None:
        """`setting` is named in the error when no slot is free, empty for a fixed number; `each` is the limit per API key."""
        self._free = count
        self._setting = setting
        self._each = count if each is None else each
        self._kind = kind
        self._held: Counter[str] = Counter()

    @contextmanager
    def taken(self, holder: str = "") -> Iterator[None]:
        """Use a slot within the block; `holder` is the name of the request's API key. Raises Overloaded if no slot is free."""
        if self._free <= 0:
            why = f"; {self._setting} limits them" if self._setting else ""
            raise Overloaded(f"Too many {self._kind} are open{why}.", retry_after_s=RETRY_S)
        if self._held[holder] >= self._each:
            raise Overloaded(f"Your API key has {self._each} {self._kind} open; {SHARE} limits them.", retry_after_s=RETRY_S)
        self._free -= 1
        self._held[holder] += 1
        try:
            yield
        finally:
            self._free += 1
            self._held[holder] -= 1
            if not self._held[holder]:
                del self._held[holder]
