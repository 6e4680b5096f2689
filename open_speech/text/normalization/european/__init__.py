"""German, Spanish, French, Italian and Portuguese: the spoken form of numbers, money, units, dates and times. Pure."""

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
    """Return the rules of a language in LANGUAGES."""
    return Rules(LANGUAGES[code]).grammar()


def rewrite(text: str, code: str) -> str:
    """Return the spoken form of a text."""
    return grammar(code).rewrite(text)
