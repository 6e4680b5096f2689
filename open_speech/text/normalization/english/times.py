"""Times of day, lengths of time, and spans of times. Pure."""

from __future__ import annotations

import re

from open_speech.text.normalization.english.dates import span
from open_speech.text.normalization.grammar import DASH, Rule, first_of, matching, stop_of
from open_speech.text.numbers_en import cardinal, clock

_HALF = r" ?([AaPp])(?:\.[Mm]\.?|[Mm])(?![^\W_])"
_LAST_HOUR, _LAST_MINUTE = 24, 59
_RATIO_AFTER = re.compile(
    r" (?:ratio|odds|scale|mix|mixture|dilution|split|aspect|student|against|favorite|favourite|win|lead|draw|victory)\b"
)


def _half(found: re.Match[str], letter: str) -> str:
    return f"{letter.upper()}M{stop_of(found)}"


def _is_time(hours: int, minutes: int) -> bool:
    return hours <= _LAST_HOUR and minutes <= _LAST_MINUTE


def _clock(found: re.Match[str]) -> str | None:
    hours, minutes, seconds, half = int(found[1]), int(found[2]), found[3], found[4]
    if not _is_time(hours, minutes) or _RATIO_AFTER.match(found.string[found.end() : found.end() + 12]):
        return None
    if half:
        words = clock(hours, minutes) if minutes else cardinal(found[1].lstrip("0") or "0")
        return f"{words}{_seconds(seconds)} {_half(found, half)}"
    return f"{clock(hours, minutes)}{_seconds(seconds)}"


def _seconds(digits: str | None) -> str:
    if not digits:
        return ""
    return f" and {cardinal(str(int(digits)))} second{'' if int(digits) == 1 else 's'}"


_WITH_MINUTES = matching(rf"(\d{{1,2}}):([0-5]\d)(?::([0-5]\d))?(?:{_HALF})?(?!\w|:\d|[.,]\d)", _clock)
_DOTTED = matching(rf"(\d{{1,2}})\.([0-5]\d)(?:\.([0-5]\d))?{_HALF}", _clock)
_ON_THE_HOUR = matching(
    rf"(\d{{1,2}}){_HALF}",
    lambda found: f"{cardinal(found[1].lstrip('0') or '0')} {_half(found, found[2])}" if int(found[1]) <= _LAST_HOUR else None,
)
CLOCK = span(first_of(_WITH_MINUTES, _DOTTED, _ON_THE_HOUR))
"""`10:30`, `9:05 p.m.`, `5pm`, `9am-5pm`, `09:00–17:30`."""


def _shared_half(found: re.Match[str]) -> str | None:
    """Read `9-5pm` and `9:30-11 a.m.`: `AM` or `PM` is spoken once."""
    first = _bare(found[1], found[2])
    second = _bare(found[3], found[4])
    return f"{first} to {second} {_half(found, found[5])}" if first and second else None


def _bare(hours: str, minutes: str | None) -> str | None:
    if not _is_time(int(hours), int(minutes or 0)):
        return None
    return clock(int(hours), int(minutes)) if minutes and int(minutes) else cardinal(hours.lstrip("0") or "0")


SHARED_HALF = matching(rf"(\d{{1,2}})(?::([0-5]\d))? ?{DASH} ?(\d{{1,2}})(?::([0-5]\d))?{_HALF}", _shared_half)


def _length(found: re.Match[str]) -> str | None:
    hours, minutes, seconds = found[1], found[2], found[3]
    parts = [
        f"{cardinal(digits)} {name}{'' if digits == '1' else 's'}"
        for digits, name in ((hours, "hour"), (minutes, "minute"), (seconds, "second"))
        if digits
    ]
    return " ".join(parts) if len(parts) > 1 else None


LENGTH = matching(r"(?:(\d{1,3}) ?h(?:rs?)? ?)?(?:(\d{1,3}) ?(?:min|m)(?: ?|(?=\b)))?(?:(\d{1,2}) ?s(?:ec)?)?(?![^\W_])", _length)
"""`2h 30m`, `1h20m`, `5m30s`."""
HOURS_MINUTES = matching(
    r"(\d{1,2})h(\d{2})(?![^\W_])",
    lambda found: f"{cardinal(found[1])} hour{'' if found[1] == '1' else 's'} {cardinal(found[2].lstrip('0') or '0')}",
)


def _ratio(found: re.Match[str]) -> str:
    return " to ".join(cardinal(part.replace(",", "").lstrip("0") or "0") for part in found[0].split(":"))


RATIO = matching(r"\d{1,3}(?::\d{1,3}){1,2}(?![\w:]|[.,]\d)|1:\d{1,3}(?:,?\d{3}){1,3}(?![\w:])", _ratio)
"""`3:2`, `16:9`, `1:1000`, `2:1:1`; this rule is tried after those for times of day."""


def _ratio_by_context(found: re.Match[str]) -> str | None:
    before = found.string[max(0, found.start() - 24) : found.start()].lower()
    named = re.search(r"(ratio|odds|scale|proportion|diluted|mixed|score|won|lost|lead|led|beat)\b", before) is not None
    return _ratio(found) if named or _RATIO_AFTER.match(found.string[found.end() : found.end() + 12]) else None


NAMED_RATIO = matching(r"\d{1,3}:\d{1,3}(?:,\d{3})*(?![\w:]|[.,]\d| ?[AaPp]\.?[Mm])", _ratio_by_context)


def _offset(found: re.Match[str]) -> str:
    sign = "plus" if found[2] == "+" else "minus"
    minutes = "" if not found[4] or found[4] == "00" else f" {cardinal(found[4])}"
    return f"{' '.join(found[1])} {sign} {cardinal(found[3].lstrip('0') or '0')}{minutes}"


ZONE: Rule = matching(r"(UTC|GMT) ?([-+−])(\d{1,2})(?::?(\d{2}))?(?!\w)", _offset)
