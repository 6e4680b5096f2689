"""Alignment of synthesized pieces with the original text: which part of the text each piece speaks. Pure.

The synthesized pieces differ from the text: marks are removed, and numbers are words. A client must receive its own text, each character
once. Each piece is therefore located in the rest of the text by the last of its words that occurs there, near the expected position.
"""

from __future__ import annotations

import re

_WORD = re.compile(r"[^\W\d_]+")
_TAIL = re.compile(r"[^\w\s]*\s*")
"""Punctuation after the last word of a piece, and the space after it."""
_SEARCHED_WORDS = 4
"""Number of words from the end of a piece that are searched for: numbers and signs at the end are words only in the piece."""


class Verbatim:
    """A text that may still grow and is consumed from the front, piece by piece. The consumed parts, joined, are the text."""

    def __init__(self, text: str = "") -> None:
        self._rest = text

    def put(self, text: str) -> None:
        """Append to the text."""
        self._rest += text

    def take(self, piece: str) -> str:
        """Consume and return the part of the text that a synthesized piece speaks; empty if it was consumed already."""
        return self._cut(_end_of(piece, self._rest))

    def rest(self) -> str:
        """Consume and return the rest of the text."""
        return self._cut(len(self._rest))

    def _cut(self, at: int) -> str:
        taken, self._rest = self._rest[:at], self._rest[at:]
        return taken


def _end_of(piece: str, text: str) -> int:
    """Return the index into `text` at which the part that `piece` speaks ends."""
    lead = len(text) - len(text.lstrip())
    if text.startswith(piece, lead):
        return _with_tail(text, lead + len(piece))
    expected, around = lead + len(piece), len(piece) // 2 + 20
    for back, word in enumerate(reversed(_WORD.findall(piece)[-_SEARCHED_WORDS:])):
        whole_word = re.compile(rf"(?<![^\W\d_]){re.escape(word)}(?![^\W\d_])", re.IGNORECASE)
        near = [match.end() for match in whole_word.finditer(text, max(0, expected - around - len(word)), expected + around)]
        if near:
            end = min(near, key=lambda end: abs(end - expected))
            return _with_tail(text, _after_words(text, end, back))
    return _with_tail(text, _word_end(text, min(expected, len(text))))


def _after_words(text: str, at: int, count: int) -> int:
    """Return the index after the next `count` words, but not beyond the sentence."""
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
