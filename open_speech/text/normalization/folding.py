"""Folds styled letters to plain letters: mathematical alphabets, full width, circled, small capitals, ligatures. Pure.

Unicode's compatibility forms (NFKC) define the plain letters. Characters that would lose their meaning are kept: `10²` is not 102, `½` not
1/2, `™` not TM.
"""

from __future__ import annotations

import functools
import unicodedata

_KEPT = frozenset(
    "²³¹⁰⁴⁵⁶⁷⁸⁹⁺⁻⁼⁽⁾ⁿ₀₁₂₃₄₅₆₇₈₉₊₋"  # powers and indices
    "¼½¾⅐⅑⅒⅓⅔⅕⅖⅗⅘⅙⅚⅛⅜⅝⅞⁄"
    "™℠©®№℃℉°ºªµμΩÅ℮"
    "…‥‐‑\u00a0\u2009\u202f"
    "´¨¯¸˘˙˚˛˜˝"  # would become a space with an accent
)
_SMALL_CAPITALS = str.maketrans("ᴀʙᴄᴅᴇꜰɢʜɪᴊᴋʟᴍɴᴏᴘꞯʀꜱᴛᴜᴠᴡʏᴢ", "abcdefghijklmnopqrstuvwyz")
_NEGATIVE = {start + at: chr(ord("A") + at) for start in (0x1F150, 0x1F170) for at in range(26)}
"""White letters on black circles and squares have no compatibility form."""
_OVERLAYS = frozenset(map(chr, (*range(0x334, 0x339), *range(0x20D0, 0x20F1))))
"""Strokes through a letter, and enclosing marks."""
_SQUARED_UNITS = range(0x3380, 0x33E0)
_ENCLOSED_NUMBERS = (range(0x2460, 0x2474), range(0x24EA, 0x2500), range(0x2776, 0x2794))
_MOST_ACCENTS = 3
"""Maximum accents on one letter in any orthography; more are decoration."""


def folded(text: str) -> str:
    """Return a text in plain letters and digits; punctuation of any width is not changed."""
    if text.isascii():
        return text
    return "".join(map(_folded, text)) if _has_no_accents(text) else _with_few_accents("".join(map(_folded, text)))


@functools.lru_cache(maxsize=4096)
def _folded(char: str) -> str:
    if char in _OVERLAYS:
        return ""
    if char.isascii() or char in _KEPT:
        return char
    code = ord(char)
    if code in _NEGATIVE:
        return _NEGATIVE[code]
    if (small := char.translate(_SMALL_CAPITALS)) != char:
        return small
    # A raised small capital folds to a small capital, which must be folded again.
    plain = "".join(part for part in unicodedata.normalize("NFKC", char).translate(_SMALL_CAPITALS) if part not in _OVERLAYS)
    if plain == char or unicodedata.category(char)[0] not in "LNS" or not plain.strip() or plain[0].isspace():
        return char
    if code in _SQUARED_UNITS and plain[-1] in "23":
        plain = plain[:-1] + plain[-1].translate({ord("2"): "²", ord("3"): "³"})
    return f" {plain} " if any(code in numbers for numbers in _ENCLOSED_NUMBERS) else plain


def _has_no_accents(text: str) -> bool:
    return not any(unicodedata.combining(char) for char in text)


def _with_few_accents(text: str) -> str:
    """Drop accents beyond _MOST_ACCENTS per letter."""
    out: list[str] = []
    accents = 0
    for char in text:
        accents = accents + 1 if unicodedata.combining(char) else 0
        if accents <= _MOST_ACCENTS:
            out.append(char)
    return "".join(out)
