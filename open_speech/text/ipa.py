"""Phonemes inside a text: a word, or a few, written in the International Phonetic Alphabet for engines that take them. Pure.

They travel between two characters that no text has: Unicode's private use, which is dropped from everything that comes from outside.
"""

from __future__ import annotations

import re
from collections.abc import Callable

_OPEN, _CLOSE, _SPACE = "\ue010", "\ue011", "\ue012"
MARKS = _OPEN + _CLOSE + _SPACE
LONGEST = 120
"""Characters of phonemes in one place; more are not taken."""
_SPAN = re.compile(f"{_OPEN}([^{MARKS}]*(?:{_SPACE}[^{MARKS}]*)*){_CLOSE}")
_PRIVATE = re.compile("[\ue000-\uf8ff]")


def marked(phonemes: str) -> str:
    """Write phonemes so that they can stand in a text as one word. Raises ValueError if they are too many, or none."""
    words = _PRIVATE.sub("", phonemes).split()
    written = _SPACE.join(words)
    if not 0 < len(written) <= LONGEST:
        raise ValueError(f"phonemes must have 1 to {LONGEST} characters")
    return f"{_OPEN}{written}{_CLOSE}"


def split(text: str) -> list[tuple[str, bool]]:
    """Cut a text into its stretches of writing (False) and of phonemes (True), in order; none is empty."""
    parts = _SPAN.split(text)
    return [(part.replace(_SPACE, " "), bool(at % 2)) for at, part in enumerate(parts) if part]


def around(text: str, rewrite: Callable[[str], str]) -> str:
    """Rewrite what is written, and leave the phonemes as they are."""
    if _OPEN not in text:
        return rewrite(text)
    parts = _SPAN.split(text)
    return "".join(f"{_OPEN}{part}{_CLOSE}" if at % 2 else rewrite(part) if part else "" for at, part in enumerate(parts))


def without_private(text: str) -> str:
    """Drop the characters of Unicode's private use area: no text from outside may hold marks of ours."""
    return _PRIVATE.sub("", text)
