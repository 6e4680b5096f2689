"""SSML's `say-as` in English words; other languages get the text, or its characters one by one. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable

from open_speech.text.numbers_en import cardinal, clock, date, number, ordinal, spelled
from open_speech.text.spoken_form import spoken

LONGEST = 200
"""Maximum length of text that is spelled out; longer text is read as it is."""
_SIGNS = {
    ".": "dot", ",": "comma", "-": "dash", "_": "underscore", "/": "slash", "@": "at", "#": "hash", "&": "and", "+": "plus", "=": "equals",
    "*": "star", "!": "exclamation mark", "?": "question mark", ":": "colon", ";": "semicolon",
    "%": "percent", "$": "dollar", "'": "apostrophe",
}  # fmt: skip
_DATE_PARTS = re.compile(r"(\d{1,4})(?:[-/. ](\d{1,4}))?(?:[-/. ](\d{1,4}))?")
_CLOCK = re.compile(r"(\d{1,2})[:.h](\d{2})(?:[:.](\d{2}))?\s?([ap]\.?m\.?)?", re.IGNORECASE)
_NUMBER = re.compile(r"([-+]?)((?:\d{1,3}(?:,\d{3}){1,6}|\d{0,30})(?:\.\d{1,20})?)")


def say_as(text: str, kind: str, form: str, language: str) -> str:
    """Return the spoken form of a text of a `kind` (`interpret-as`, for example `date`) in a `form` (`format`, for example `dmy`).

    A text that does not match its kind, or has an unknown kind, is returned as it is.
    """
    if kind in ("characters", "spell-out", "verbatim", "letters"):
        return _characters(text, english=_is_english(language)) if len(text) <= LONGEST else text
    say = _KINDS.get(kind)
    return say(text, form) or text if say and _is_english(language) else text


def _is_english(language: str) -> bool:
    return language.lower().replace("_", "-").partition("-")[0] == "en"


def _characters(text: str, *, english: bool) -> str:
    words = (_character(char) if english else char for char in text if not char.isspace())
    return ", ".join(char.upper() if len(char) == 1 else char for char in words)


def _character(char: str) -> str:
    return spelled(char) if char in "0123456789" else _SIGNS.get(char, char)


def _cardinal(text: str, _: str) -> str | None:
    found = _NUMBER.fullmatch(text)
    if not found or not found[2]:
        return None
    sign = {"-": "minus ", "+": "plus ", "": ""}[found[1]]
    return sign + number(found[2].replace(",", "").lstrip("0") or "0")


def _ordinal(text: str, _: str) -> str | None:
    found = re.fullmatch(r"(\d{1,15}|\d{1,3}(?:,\d{3}){1,4})(?:st|nd|rd|th)?", text)
    return ordinal(found[1].replace(",", "")) if found else None


def _digits(text: str, _: str) -> str | None:
    return spelled(text) if re.fullmatch(r"[0-9]{1,200}", text) else None


def _date(text: str, form: str) -> str | None:
    """Read a date; `form` is the order of its parts, such as `mdy`, `dm` or `y`. The default is `ymd` if the year is first, else `mdy`."""
    found = _DATE_PARTS.fullmatch(text)
    parts = [part for part in found.groups() if part] if found else []
    order = form or ("ymd" if parts and len(parts[0]) == 4 else "mdy")[: len(parts)]
    if not parts or len(order) != len(parts) or set(order) - set("ymd"):
        return None
    value = dict(zip(order, parts, strict=True))
    day, month, year = int(value.get("d", 0)), int(value.get("m", 0)), value.get("y", "")
    if day > 31 or month > 12 or (month == 0 and "m" in value):
        return None
    if month:
        return date(day, month, year)
    return ordinal(str(day)) if day and not year else spoken(f"in {year}", "en").removeprefix("in ") if year and not day else None


def _time(text: str, form: str) -> str | None:
    found = _CLOCK.fullmatch(text)
    if not found or int(found[1]) > 24 or int(found[2]) > 59:
        return None
    hours, minutes, seconds, half = int(found[1]), int(found[2]), found[3], found[4]
    words = cardinal(str(hours)) if half and not minutes else clock(hours, minutes)
    if seconds:
        words += f" and {cardinal(str(int(seconds)))} seconds"
    return f"{words} {half[0].upper()}M" if half else words


def _telephone(text: str, _: str) -> str | None:
    groups = re.findall(r"\d+", text)
    if not groups or re.search(r"[^\d\s()+./-]", text):
        return None
    return ("plus " if text.startswith("+") else "") + ", ".join(spelled(group) for group in groups)


def _read(text: str, _: str) -> str | None:
    return spoken(text, "en")


_KINDS: dict[str, Callable[[str, str], str | None]] = {
    "cardinal": _cardinal, "number": _cardinal, "ordinal": _ordinal, "digits": _digits, "date": _date, "time": _time,
    "telephone": _telephone, "currency": _read, "unit": _read, "fraction": _read, "address": _read,
}  # fmt: skip
