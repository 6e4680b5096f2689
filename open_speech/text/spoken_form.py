"""Written form -> spoken form: numbers, money, units, dates, addresses, abbreviations. Pure.

The rules are in `normalization/`; text in languages without rules is left to the engine.
"""

from __future__ import annotations

from open_speech.text.ipa import around
from open_speech.text.normalization import english, european


def spoken(text: str, language: str) -> str:
    """Return the spoken form of a sentence; `language` is a BCP-47 tag. No word is lost."""
    primary, _, region = language.lower().replace("_", "-").partition("-")
    if primary == "en":
        words = around(text, lambda written: english.rewrite(written, day_first=region not in ("", "us")))
    elif primary in european.LANGUAGES:
        words = around(text, lambda written: european.rewrite(written, primary))
    else:
        return text
    return " ".join(words.split())
