"""What is written for the eye -> what is said: numbers, money, units, dates, addresses, abbreviations. Pure.

The rules are in `normalization/`; languages without rules are left to the reader of their engine.
"""

from __future__ import annotations

from open_speech.text.ipa import around
from open_speech.text.normalization import english, european


def spoken(text: str, language: str) -> str:
    """Return a sentence as it is said; `language` is a BCP-47 tag. No word is lost."""
    primary, _, region = language.lower().replace("_", "-").partition("-")
    if primary == "en":
        said = around(text, lambda written: english.rewrite(written, day_first=region not in ("", "us")))
    elif primary in european.LANGUAGES:
        said = around(text, lambda written: european.rewrite(written, primary))
    else:
        return text
    return " ".join(said.split())
