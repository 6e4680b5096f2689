"""Text in the form in which two transcripts of the same speech are equal. Pure."""

from __future__ import annotations

import unicodedata

_APOSTROPHES = str.maketrans("", "", "'’‘ʼ`´＇")
"""Removed before the text is split at its punctuation: `don't` and `dont` are one word."""


def comparable(text: str) -> str:
    """Return a text without case, punctuation and repeated space, in Unicode's form NFKC.

    Two transcripts of the same audio often differ in these and in nothing else: a recognizer adds a full stop when it sees the silence.
    """
    folded = unicodedata.normalize("NFKC", text.translate(_APOSTROPHES)).casefold().translate(_APOSTROPHES)
    return " ".join("".join(" " if unicodedata.category(letter)[0] in "PZC" else letter for letter in folded).split())
