"""Phonemes within a text: words in the International Phonetic Alphabet, for engines that accept them. Pure.

They are enclosed in two characters of Unicode's private use area, which are removed from all input.
"""

from __future__ import annotations

import re
from collections.abc import Callable

_OPEN, _CLOSE, _SPACE = "\ue010", "\ue011", "\ue012"
MARKS = _OPEN + _CLOSE + _SPACE
LONGEST = 120
"""Maximum characters of phonemes in one place."""
_SPAN = re.compile(f"{_OPEN}([^{MARKS}]*(?:{_SPACE}[^{MARKS}]*)*){_CLOSE}")
_PRIVATE = re.compile("[\ue000-\uf8ff]")


def marked(phonemes: str) -> str:
    """Return phonemes marked for use as one word of a text. Raises ValueError unless they have 1 to LONGEST characters."""
    words = _PRIVATE.sub("", phonemes).split()
    written = _SPACE.join(words)
    if not 0 < len(written) <= LONGEST:
        raise ValueError(f"phonemes must have 1 to {LONGEST} characters")
    return f"{_OPEN}{written}{_CLOSE}"


def split(text: str) -> list[tuple[str, bool]]:
    """Split a text into parts of plain text (False) and phonemes (True), in order; no part is empty."""
    parts = _SPAN.split(text)
    return [(part.replace(_SPACE, " "), bool(at % 2)) for at, part in enumerate(parts) if part]


def around(text: str, rewrite: Callable[[str], str]) -> str:
    """Rewrite the plain text between phonemes, and keep the phonemes."""
    if _OPEN not in text:
        return rewrite(text)
    parts = _SPAN.split(text)
    return "".join(f"{_OPEN}{part}{_CLOSE}" if at % 2 else rewrite(part) if part else "" for at, part in enumerate(parts))


def without_private(text: str) -> str:
    """Remove the characters of Unicode's private use area: input must not contain internal marks."""
    return _PRIVATE.sub("", text)
