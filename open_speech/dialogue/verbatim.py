"""Which part of a text a piece of speech says: the text as it was written, cut where the speech is. Pure.

The pieces that are spoken are not the text: marks are gone from them, numbers are words. What a client is told of them must be its own
text, each character once: so each piece is looked up in what is left of the text, by its last word that is there, near where it should be.
"""

from __future__ import annotations

import re

_WORD = re.compile(r"[^\W\d_]+")
_TAIL = re.compile(r"[^\w\s]*\s*")
"""What belongs to a word at the end of a sentence: its marks, and the space after them."""
_TRIED = 4
"""Words from the end of a piece that are looked for; numbers and signs at the end are words in the piece only."""


class Verbatim:
    """A text that may still grow, taken from the front piece by piece; all that is taken, joined, is the text."""

    def __init__(self, text: str = "") -> None:
        self._rest = text

    def put(self, text: str) -> None:
        """Add to the end of the text."""
        self._rest += text

    def take(self, piece: str) -> str:
        """Take the part of the text that a spoken piece says; empty if that was taken already."""
        return self._cut(_end_of(piece, self._rest))

    def rest(self) -> str:
        """Take all that is left."""
        return self._cut(len(self._rest))

    def _cut(self, at: int) -> str:
        taken, self._rest = self._rest[:at], self._rest[at:]
        return taken


def _end_of(piece: str, text: str) -> int:
    """Find where the part ends that `piece` says, as an index into `text`."""
    lead = len(text) - len(text.lstrip())
    if text.startswith(piece, lead):
        return _with_tail(text, lead + len(piece))
    expected, around = lead + len(piece), len(piece) // 2 + 20
    for back, word in enumerate(reversed(_WORD.findall(piece)[-_TRIED:])):
        whole_word = re.compile(rf"(?<![^\W\d_]){re.escape(word)}(?![^\W\d_])", re.IGNORECASE)
        near = [match.end() for match in whole_word.finditer(text, max(0, expected - around - len(word)), expected + around)]
        if near:
            end = min(near, key=lambda end: abs(end - expected))
            return _with_tail(text, _after_words(text, end, back))
    return _with_tail(text, _word_end(text, min(expected, len(text))))


def _after_words(text: str, at: int, count: int) -> int:
    """Go on by so many words, but not into the next sentence."""
    following = re.compile(r"[^\S\n]*[^\s.!?]+")
    for _ in range(count):
        match = following.match(text, at)
        if match is None:
            break
        at = match.end()
    return at


def _word_end(text: str, at: int) -> int:
    match = re.compile(r"\w*").match(text, at)
    return at if match is None or not at or not text[at - 1].isalnum() else match.end()


def _with_tail(text: str, at: int) -> int:
    match = _TAIL.match(text, at)
    return at if match is None else match.end()
