"""German, Spanish, French, Italian and Portuguese: numbers, money, units, dates and times as they are said. Pure."""

from __future__ import annotations

import functools

from open_speech.text.normalization.european.french import FRENCH
from open_speech.text.normalization.european.german import GERMAN
from open_speech.text.normalization.european.italian import ITALIAN
from open_speech.text.normalization.european.portuguese import PORTUGUESE
from open_speech.text.normalization.european.rules import Rules
from open_speech.text.normalization.european.spanish import SPANISH
from open_speech.text.normalization.grammar import Grammar

LANGUAGES = {"de": GERMAN, "es": SPANISH, "fr": FRENCH, "it": ITALIAN, "pt": PORTUGUESE}
"""ISO-639-1 code -> language."""


@functools.cache
def grammar(code: str) -> Grammar:
    """Return the rules of a language of LANGUAGES."""
    return Rules(LANGUAGES[code]).grammar()


def rewrite(text: str, code: str) -> str:
    """Return a text as it is said."""
    return grammar(code).rewrite(text)
