"""Splits a transcript into clauses while it arrives, so that each is translated as soon as it is complete. Pure."""

from __future__ import annotations

import re
import unicodedata

from open_speech.text.cleanup import CLOSERS, says_something

SENTENCE_CHARS = 12
"""Minimum length of a sentence that is translated alone; a shorter one is joined with the next."""
CLAUSE_CHARS = 48
"""Minimum length of a clause that ends in a comma: shorter parts of a sentence lack the context that a translation needs."""
LONGEST_CHARS = 160
"""Length from which text without punctuation is split between two words. It bounds the delay: about 12 seconds of fast speech."""
WIDE = 3
"""How many characters an East Asian character counts as: it is about a syllable or a word."""

_CLOSE = re.escape(CLOSERS)
_ABBREVIATIONS = "".join(rf"(?<!\b{name})" for name in ("Mr", "Ms", "Mrs", "Dr", "St", "vs", "Prof", "Sr", "Sra"))
_SENTENCE = re.compile(rf"(?:[!?…]|(?<=[\w{_CLOSE}]){_ABBREVIATIONS}\.)+[{_CLOSE}]*(?=\s)|[。！？]+[{_CLOSE}]*")
_CLAUSE = re.compile(rf"[,;:،؛]+[{_CLOSE}]*(?=\s)|[，；：]+[{_CLOSE}]*")


class Clauses:
    """The clauses of one utterance. Joined, they are the text."""

    def __init__(self) -> None:
        self._text = ""

    def feed(self, delta: str) -> list[str]:
        """Take the next part of the text; return the clauses that are complete."""
        self._text += delta
        done = []
        while (end := _end(self._text)) is not None:
            done.append(self._text[:end].strip())
            self._text = self._text[end:]
        return [clause for clause in done if says_something(clause)]

    def flush(self) -> list[str]:
        """Return the rest at the end of the utterance; nothing if it has no words."""
        text, self._text = self._text.strip(), ""
        return [text] if says_something(text) else []


def length(text: str) -> int:
    """Return the number of characters, with East Asian characters counted by WIDE."""
    return sum(WIDE if unicodedata.east_asian_width(char) in "WF" else 1 for char in text)


def _end(text: str) -> int | None:
    """Return where the first clause ends; None while it is incomplete."""
    for pattern, least in ((_SENTENCE, SENTENCE_CHARS), (_CLAUSE, CLAUSE_CHARS)):
        for mark in pattern.finditer(text):
            if length(text[: mark.end()].strip()) >= least:
                return mark.end()
    if length(text) < LONGEST_CHARS:
        return None
    size = next(size for size in range(LONGEST_CHARS // WIDE, len(text) + 1) if length(text[:size]) >= LONGEST_CHARS)
    space = text.rfind(" ", 0, size)
    return space if text[: max(0, space)].strip() else size
