"""Numbers in English words. Pure."""

from __future__ import annotations

_ONES = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen"
).split()
_TENS = ("", "", *"twenty thirty forty fifty sixty seventy eighty ninety".split())
_SCALES = ("", "thousand", "million", "billion", "trillion", "quadrillion")
_ORDINALS = {
    "one": "first", "two": "second", "three": "third", "five": "fifth", "eight": "eighth", "nine": "ninth", "twelve": "twelfth",
}  # fmt: skip
MONTHS = "January February March April May June July August September October November December".split()
MOST_DIGITS = 15
"""Longer numbers are spoken digit by digit."""


def cardinal(digits: str) -> str:
    """Return the words of a whole number: `1984` is one thousand nine hundred eighty-four; with a leading 0 or too long, digit by digit."""
    if len(digits) > MOST_DIGITS or (len(digits) > 1 and digits[0] == "0"):
        return spelled(digits)
    groups = f"{int(digits):,}".split(",")
    words = [
        f"{_hundreds(int(group))} {scale}".rstrip()
        for group, scale in zip(groups, reversed(_SCALES[: len(groups)]), strict=True)
        if int(group)
    ]
    return " ".join(words) or "zero"


def number(text: str) -> str:
    """Return the words of a number with or without a decimal point: `3.14` is three point one four, `.5` is zero point five."""
    whole, point, part = text.partition(".")
    return f"{cardinal(whole or '0')} point {spelled(part)}" if point else cardinal(whole)


def ordinal(digits: str) -> str:
    """Return the words of an ordinal number: `21` is twenty-first."""
    words = cardinal(digits.lstrip("0") or "0")
    cut = max(words.rfind(" "), words.rfind("-")) + 1
    last = words[cut:]
    if last.endswith("y"):
        return f"{words[:-1]}ieth"
    return words[:cut] + _ORDINALS.get(last, f"{last}th")


def spelled(digits: str) -> str:
    """Return the words of digits one by one: `007` is zero zero seven."""
    return " ".join(_ONES[int(digit)] for digit in digits)


def year(digits: str) -> str:
    """Return the words of a year of four digits: `1984` is nineteen eighty-four, `2005` two thousand five, `1900` nineteen hundred."""
    century, rest = int(digits[:2]), int(digits[2:])
    if rest == 0:
        return cardinal(digits) if century % 10 == 0 else f"{_hundreds(century)} hundred"
    if rest < 10:
        return cardinal(digits) if century % 10 == 0 else f"{_hundreds(century)} oh {_ONES[rest]}"
    return f"{_hundreds(century)} {_hundreds(rest)}"


def plural(word: str) -> str:
    """Return the plural of a number word: `eighty` is eighties."""
    return f"{word[:-1]}ies" if word.endswith("y") else f"{word}es" if word.endswith("x") else f"{word}s"


def date(day: int, month: int, digits: str = "") -> str:
    """Return the words of a date, month 1 to 12: July fourth, twenty twenty-six. Day 0 omits the day, an empty year the year."""
    words = MONTHS[month - 1] + (f" {ordinal(str(day))}" if day else "")
    if not digits:
        return words
    return f"{words}{',' if day else ''} {year(digits) if len(digits) == 4 else cardinal(digits)}"


def clock(hours: int, minutes: int) -> str:
    """Return the words of a time of day: ten thirty, nine oh five, ten o'clock, fourteen hundred."""
    if minutes == 0:
        if hours == 0:
            return "midnight"
        return f"{_hundreds(hours)} o'clock" if hours <= 12 else f"{_hundreds(hours)} hundred"
    return f"{_hundreds(hours)} {'oh ' if minutes < 10 else ''}{_hundreds(minutes)}"


def _hundreds(value: int) -> str:
    """Return the words of 0 to 999."""
    hundreds, rest = divmod(value, 100)
    tens, ones = divmod(rest, 10)
    if rest < 20:
        words = _ONES[rest] if rest or not hundreds else ""
    else:
        words = _TENS[tens] + (f"-{_ONES[ones]}" if ones else "")
    return f"{_ONES[hundreds]} hundred {words}".rstrip() if hundreds else words
