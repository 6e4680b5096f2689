"""Numbers in English text, and their words. Pure."""

from __future__ import annotations

import re

from open_speech.text.normalization.grammar import DASH, SpokenForm
from open_speech.text.numbers_en import cardinal, number, ordinal, plural

WHOLE = (
    r"(?:\d{1,3}(?:,\d{3}){1,6}(?!\d)|\d{1,3}(?:'\d{3}){1,6}(?!\d)|\d{1,3}(?:[\u00a0\u2009\u202f]\d{3}){1,6}(?!\d)"
    r"|\d{1,3}(?: \d{3}){2,6}(?![\d.,]|[ -]\d)|\d{1,3} 000(?![\d.,]| \d)"
    r"|\d{2,3} \d{3}(?![\d.,]|[ -]\d| (?:mg|ml|mcg|g) (?:tablet|pill|capsule|dose))|\d{1,40})"
)
"""A whole number: `1,000,000`, `1'000'000`, `1 000 000`. A single group after an ordinary space counts only after two or three digits, or
if it is `000`: others may be two numbers (`2 100 mg tablets`)."""
NUMBER = rf"{WHOLE}(?:\.\d{{1,15}}(?!\d|\.\d))?"
END = r"(?![^\W_]|[.,]\d)"
"""The end of a number: no letter and no further digits follow."""
SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ⁿ", "0123456789+-n")
VULGAR = {
    "½": (1, 2), "⅓": (1, 3), "⅔": (2, 3), "¼": (1, 4), "¾": (3, 4), "⅕": (1, 5), "⅖": (2, 5), "⅗": (3, 5), "⅘": (4, 5), "⅙": (1, 6),
    "⅚": (5, 6), "⅐": (1, 7), "⅛": (1, 8), "⅜": (3, 8), "⅝": (5, 8), "⅞": (7, 8), "⅑": (1, 9), "⅒": (1, 10),
}  # fmt: skip
_SEPARATORS = re.compile(r"[,'\s\u00a0\u2009\u202f]")
_MOST_PARTS = 100
"""Fractions with a larger denominator are read with `over`."""


def digits_of(written: str) -> str:
    """Return a written number without the separators of its groups."""
    return _SEPARATORS.sub("", written)


def value(written: str) -> str:
    """Return the words of a written number: `1,000.5` is one thousand point five."""
    return number(digits_of(written))


def power(exponent: str) -> str:
    """Return the words of an exponent: squared, cubed, to the power of four."""
    exponent = exponent.translate(SUPERSCRIPTS).replace("−", "-").replace("–", "-")
    if exponent in ("2", "3"):
        return "squared" if exponent == "2" else "cubed"
    sign = "minus " if exponent[0] == "-" else ""
    rest = exponent.lstrip("+-")
    return f"to the power of {sign}{number(rest) if rest[:1].isdigit() else rest}"


def part_of(top: int, bottom: int) -> str:
    """Return the words of a fraction: one half, two thirds, three quarters, five over one hundred twenty."""
    if bottom == 0 or bottom == 1 or bottom > _MOST_PARTS:
        return f"{cardinal(str(top))} over {cardinal(str(bottom))}"
    name = {2: "half", 4: "quarter"}.get(bottom) or ordinal(str(bottom))
    many = "halves" if bottom == 2 else plural(name)
    return f"{cardinal(str(top))} {name if top == 1 else many}"


def mixed(whole: str, top: int, bottom: int) -> str:
    """Return the words of a number and a fraction: one and a half, two and three quarters, four and an eighth."""
    part = part_of(top, bottom)
    if top == 1 and bottom <= _MOST_PARTS:
        name = part.removeprefix("one ")
        part = f"{'an' if name[:2] in ('ei', 'el') else 'a'} {name}"
    return f"{cardinal(whole)} and {part}"


_CARDINAL = re.compile(NUMBER)
_PLACE = re.compile(r"(\d{1,3}(?:,\d{3}){1,4}|\d{1,15})(?:st|nd|rd|th)(?![^\W_])", re.IGNORECASE)
_PLACES = re.compile(rf"(?: ?{DASH} ?|/)(?=\d)")
_CODE = re.compile(r"(\d{1,9})([A-Za-z]{1,2})(?![^\W_])")
_PAIR_FORMS = {"144p", "240p", "360p", "480p", "540p", "720p", "1080p", "1080i", "1440p", "2160p"}
_MEASURED = 4


def place(text: str, at: int) -> SpokenForm | None:
    """Read an ordinal number, or a range of them: `21st`, `4th-6th`."""
    found = _PLACE.match(text, at)
    if not found:
        return None
    words = ordinal(digits_of(found[1]))
    dash = _PLACES.match(text, found.end())
    other = _PLACE.match(text, dash.end()) if dash else None
    if dash and other:
        joint = "or" if "/" in dash[0] else "to"
        return SpokenForm(f"{words} {joint} {ordinal(digits_of(other[1]))}", other.end())
    return SpokenForm(words, found.end())


def lettered(text: str, at: int) -> SpokenForm | None:
    """Read a number that ends in letters that are not a unit: `7B`, `3D`, `1080p`, `221B`."""
    found = _CODE.match(text, at)
    if not found:
        return None
    digits, letters = found[1], found[2]
    words = pairs(digits) if found[0] in _PAIR_FORMS or len(digits) == _MEASURED - 1 else cardinal(digits)
    return SpokenForm(f"{words} {' '.join(letters.upper())}", found.end())


def pairs(digits: str) -> str:
    """Return the words of a number as in room numbers and picture sizes: ten eighty, one oh one, seven twenty."""
    if len(digits) == _MEASURED and digits[:2] != "00" and digits[0] != "0":
        if digits[1:] == "000" or digits[1:3] == "00":
            return cardinal(digits)
        high, low = digits[:2], digits[2:]
        return f"{cardinal(high)} {'hundred' if low == '00' else _two(low)}"
    if len(digits) == _MEASURED - 1 and digits[0] != "0" and digits[1:] != "00":
        return f"{cardinal(digits[0])} {_two(digits[1:])}"
    return cardinal(digits)


def _two(digits: str) -> str:
    return f"oh {cardinal(digits[1])}" if digits[0] == "0" else cardinal(digits)


def plain(text: str, at: int) -> SpokenForm | None:
    """Read any other number; this is the last of the rules for digits."""
    found = _CARDINAL.match(text, at)
    return SpokenForm(value(found[0]), found.end()) if found else None


_CHAIN = re.compile(rf"\d{{1,3}}(?:{DASH}\d{{1,3}}){{2,8}}(?!\w|{DASH}\w|[.,]\d)")
_LETTER_DASH = re.compile(rf"[A-Za-z]{DASH}$")


def chain(text: str, at: int) -> SpokenForm | None:
    """Read three or more numbers with dashes between, such as a formation or a countdown: `4-4-2`, `3-2-1`."""
    found = _CHAIN.match(text, at)
    if not found:
        return None
    return SpokenForm(", ".join(cardinal(part) for part in re.split(DASH, found[0])), found.end())
