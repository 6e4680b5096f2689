"""Keeps the text of utterances in the order in which they were spoken. Pure.

The next utterance may begin while the last pass over the one before it is still running, and its first text may be earlier.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass(slots=True)
class _Utterance:
    number: int
    waiting: list[str] = field(default_factory=list)
    is_done: bool = False


class InOrder:
    """The texts of the utterances that are not done."""

    def __init__(self) -> None:
        self._order: deque[_Utterance] = deque()

    def __len__(self) -> int:
        """Return how many utterances are not done, or wait for one that is not."""
        return len(self._order)

    def begin(self, number: int) -> None:
        """Add an utterance after all others."""
        self._order.append(_Utterance(number))

    def delta(self, number: int, text: str) -> Iterator[tuple[int, str | None]]:
        """Take the next text of an utterance; yield what may be sent now, as `done` does."""
        for utterance in self._order:
            if utterance.number == number:
                utterance.waiting.append(text)
        return self._released()

    def done(self, number: int) -> Iterator[tuple[int, str | None]]:
        """End an utterance; yield the texts that may be sent now, each with its utterance, and None at the end of one."""
        for utterance in self._order:
            if utterance.number == number:
                utterance.is_done = True
        return self._released()

    def _released(self) -> Iterator[tuple[int, str | None]]:
        while self._order:
            first = self._order[0]
            yield from ((first.number, text) for text in first.waiting)
            first.waiting = []
            if not first.is_done:
                return
            self._order.popleft()
            yield first.number, None
