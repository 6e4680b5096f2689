"""What every conversion of English text to phonemes needs: the signs that Kokoro was trained on, and the letter A. Pure."""

from __future__ import annotations

import re

_ENGLISH = {"dʒ": "ʤ", "tʃ": "ʧ", "aɪ": "I", "aʊ": "W", "eɪ": "A", "oʊ": "O", "əʊ": "Q", "ɔɪ": "Y", "ɐ": "ə"}
_AMERICAN = {"ɜːɹ": "ɜɹ", "ɜː": "ɜɹ", "ɝ": "ɜɹ", "ɚ": "əɹ", "ɾ": "T", "ʔ": "t", "ː": ""}
"""espeak-ng's English -> the signs that Kokoro's English was trained on: one letter for each diphthong and affricate, and no length.

Word errors of Whisper base in twenty sentences: 5.9 % with these signs, 7.1 % without.
"""
_SIGNS = {"en-us": _ENGLISH | _AMERICAN, "en-gb": _ENGLISH}

_LETTER_A = re.compile(
    r"\bA(?= (?:and [A-Z]|[A-Z]|plus|minus|equals|squared|cubed|times|divided by|to the power|is (?:less|greater|equal|not equal|about))\b)"
)
"""A letter A that would be read as the article, as it is except before a mark."""


def kokoro_signs(written: str, language: str) -> str:
    """Rewrite phonemes of espeak-ng or of the IPA with the signs that Kokoro, and the voices distilled from it, were trained on."""
    for theirs, ours in _SIGNS.get(language, {}).items():
        written = written.replace(theirs, ours)
    return written


def with_letter_a(text: str, written: str = "eh") -> str:
    """Return English text with `written` for each A that is a letter and not the article: `A T and T`, `A plus B`.

    espeak-ng reads `eh` like the letter.
    """
    return _LETTER_A.sub(written, text)
