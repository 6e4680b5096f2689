"""English text -> the phonemes of Kokoro, by the package hibari-tts: a lexicon, a tagger and a network for unknown words. No GPL code."""

from __future__ import annotations

import importlib.util
import re
from typing import TYPE_CHECKING

from open_speech.text.ipa import split
from runners.support.english import kokoro_signs, with_letter_a

if TYPE_CHECKING:
    from hibari.g2p import G2P  # noqa: TID251 - for the type checker only

LETTER_A = "[A](/ˈA/)"
"""The letter A, which the package would read as the article."""
_BRACKET = re.compile(r"\]\(")
"""The package reads `[word](/phonemes/)` as phonemes; in the text of a user it is text."""


def is_installed() -> bool:
    """Return whether the package can be found. Does not import it."""
    return importlib.util.find_spec("hibari") is not None


class HibariG2P:
    """The lexicon and the rules of American or British English: about 100 MB. One thread at a time."""

    _g2p: G2P

    def __init__(self, *, british: bool) -> None:
        """Read the lexicon, which takes 0.3 s."""
        from hibari.g2p import G2P  # noqa: PLC0415, TID251 - every child process imports every runner module

        self._british = british
        self._g2p = G2P(british=british)

    def sentences(self, text: str) -> list[str]:
        """Convert a text to phonemes with stress and punctuation, one string per sentence; phonemes in the text (text/ipa.py) are kept."""
        from hibari.tts import Hibari  # noqa: PLC0415, TID251 - as above

        return [self._sentence(sentence) for sentence in Hibari.split_sentences(as_hibari_reads(text, british=self._british))]

    def _sentence(self, sentence: str) -> str:
        # Numbers and dates are words already, so the package's own rules for them are off.
        written = str(self._g2p(sentence, normalize_text=False))
        # It takes `A.` at the end for an abbreviation. Without its full stop a sentence has no pause after it.
        return f"{written}." if sentence.endswith(".") and written[-1:].isalpha() else written


def as_hibari_reads(text: str, *, british: bool) -> str:
    """Write the phonemes in a text as the package reads them, and keep what a user wrote in the same way as text."""
    language = "en-gb" if british else "en-us"
    return "".join(
        f"[word](/{kokoro_signs(part, language)}/)" if are_phonemes else with_letter_a(_BRACKET.sub("] (", part), LETTER_A)
        for part, are_phonemes in split(text)
    )
