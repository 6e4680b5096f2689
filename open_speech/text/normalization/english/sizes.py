"""Fractions, sizes, heights, angles and coordinates. Pure."""

from __future__ import annotations

import re

from open_speech.text.normalization.english.numbers import NUMBER, pairs, part_of, value
from open_speech.text.normalization.english.units import unit_at
from open_speech.text.normalization.grammar import DASH, SpokenForm, describes, matching, word_before
from open_speech.text.numbers_en import cardinal

_FIXED = {
    "24/7": "twenty-four seven", "50/50": "fifty fifty", "9/11": "nine eleven", "20/20": "twenty twenty", "4/4": "four four",
    "7/8": "seven eighths",
    "80/20": "eighty twenty", "60/40": "sixty forty",
}  # fmt: skip
_RATED = frozenset("rated score scored rating gave got grade graded mark marks".split())
_OUT_OF = re.compile(
    r" (?:stars?|points?|rating|cases|people|times|dentists|users|respondents|participants|students|would|tests|questions|correct)\b"
)
_OUT_OF_ALWAYS = {10, 100}
_MOST_PARTS = 20
_INCH_MARK, _FOOT_MARK = "[\"”″]|''", "['’′]"


def _fraction(found: re.Match[str]) -> str | None:
    if found[0] in _FIXED:
        return _FIXED[found[0]]
    top, bottom = int(found[1]), int(found[2])
    follows = found.string[found.end() : found.end() + 20]
    before = word_before(found.string, found.start()).lower()
    if before in _RATED or _OUT_OF.match(follows) or (bottom in _OUT_OF_ALWAYS and top <= bottom and not follows.startswith(" of")):
        return f"{cardinal(found[1])} out of {cardinal(found[2])}"
    if not 1 < bottom <= _MOST_PARTS or top == 0 or top > 99:  # noqa: PLR2004 - larger fractions are read with `over`
        return f"{cardinal(found[1])} over {cardinal(found[2])}"
    return part_of(top, bottom)


FRACTION = matching(r"(\d{1,4})[/⁄](\d{1,4})(?!\w|[/⁄]|[.,]\d)", _fraction)


def size(text: str, at: int) -> SpokenForm | None:
    """Read a size, with its unit: `4x4`, `1920×1080`, `3 x 5 cm`."""
    found = _SIZE.match(text, at)
    if not found:
        return None
    words = " by ".join(_side(part) for part in re.split(r" ?[x×X*] ?", found[0]))
    measured = unit_at(text, found.end())
    return SpokenForm(f"{words} {measured.unit.many}", measured.end) if measured else SpokenForm(words, found.end())


def _side(written: str) -> str:
    digits = written.rstrip('"”″')
    words = pairs(digits) if digits.isdigit() and 3 <= len(digits) <= 4 and digits[-2:] != "00" else value(digits)  # noqa: PLR2004 - pictures
    return f"{words} inches" if digits != written else words


_SIDE = r"\d{1,6}(?:\.\d{1,4})?"
_SIZE = re.compile(
    rf"{_SIDE}[\"”″]?(?:[x×X]{_SIDE}[\"”″]?){{1,3}}(?!\w|[.,]\d|[\^⁰-⁹²³¹])"
    rf"|{_SIDE}[\"”″]?(?: [x×] {_SIDE}[\"”″]?){{1,3}}(?!\w|[.,]\d| ?[=+−*/^-]|[⁰-⁹²³¹])"
)
TIMES = matching(rf"({NUMBER})[x×](?![^\W_])", lambda found: f"{value(found[1])} times")
TIMES_SPAN = matching(rf"({NUMBER})[x×]?{DASH}({NUMBER})[x×](?![^\W_])", lambda found: f"{value(found[1])} to {value(found[2])} times")


def _height(found: re.Match[str]) -> str:
    return f"{value(found[1])} foot {value(found[2])}"


HEIGHT = matching(rf"(\d{{1,2}}){_FOOT_MARK} ?(\d{{1,2}}(?:\.\d)?)(?:{_INCH_MARK})?(?!\w)", _height)


def _marked(found: re.Match[str]) -> str | None:
    before = found.string[max(0, found.start() - 200) : found.start()]
    opened = before.count('"') % 2 or before.count("“") > before.count("”") or before.count("‘") > before.count("’")
    if opened:
        return None
    number, mark = value(found[1]), found[2]
    one = found[1] == "1" or describes(found.string, found.start(), found.end())
    if mark in "'’′":
        return f"{number} {'foot' if one else 'feet'}"
    return f"{number} {'inch' if one else 'inches'}"


INCHES = matching(rf"({NUMBER})({_INCH_MARK})(?!\w)", _marked)
PART_INCHES = matching(
    rf"(\d{{1,2}})/(\d{{1,2}})(?:{_INCH_MARK})(?!\w)",
    lambda found: f"{part_of(int(found[1]), int(found[2]))} inch" if 0 < int(found[1]) < int(found[2]) else None,
)
FEET = matching(rf"({NUMBER})([′'’])(?=\s|[.,;!?)]|$)", lambda found: _marked(found) if found[2] == "′" or not _possessive(found) else None)


def _possessive(found: re.Match[str]) -> bool:
    return len(found[1]) > 2 or found.string.count("'", 0, found.start()) % 2 == 1  # noqa: PLR2004 - taller than houses


_SIDES = {"N": "north", "S": "south", "E": "east", "W": "west"}


def _coordinate(found: re.Match[str]) -> str:
    degrees, minutes, seconds, side = found.group(1, 2, 3, 4)
    parts = [f"{value(degrees)} degree{'' if degrees == '1' else 's'}"]
    parts += [f"{value(part)} {name}{'' if part == '1' else 's'}" for part, name in ((minutes, "minute"), (seconds, "second")) if part]
    return " ".join([*parts, *([_SIDES[side]] if side else [])])


COORDINATE = matching(
    r"(\d{1,3}(?:\.\d{1,8})?)[°º] ?(?:(\d{1,2}(?:\.\d{1,4})?)['’′] ?(?:(\d{1,2}(?:\.\d{1,4})?)(?:[\"”″]|'') ?)?)?([NSEW])(?!\w)"
    r"|(\d{1,3})°(\d{1,2})['’′](?:(\d{1,2}(?:\.\d{1,4})?)[\"”″])?",
    lambda found: _coordinate(found) if found[4] else _angle(found),
)


def _angle(found: re.Match[str]) -> str:
    parts = [(found[5], "degree"), (found[6], "minute"), (found[7], "second")]
    return " ".join(f"{value(part)} {name}{'' if part == '1' else 's'}" for part, name in parts if part)


PRESSURE = matching(
    r"(\d{2,3})/(\d{2,3})(?: ?mm ?Hg(?!\w)|(?= blood))",
    lambda found: f"{cardinal(found[1])} over {cardinal(found[2])}{' millimeters of mercury' if found[0].endswith('Hg') else ''}",
)

RATING = matching(r"(\d{1,2}\.\d{1,2})/(\d{1,3})(?![\w/]|[.,]\d)", lambda found: f"{value(found[1])} out of {cardinal(found[2])}")
PER = matching(
    r"(\d{1,6}(?:\.\d{1,3})?) ?/ ?(second|minute|hour|day|night|week|month|quarter|year|person|head|user|seat|page|serving|game)(?!\w)",
    lambda found: f"{value(found[1])} per {found[2]}",
)
TRIPLE = matching(r"\d{1,4}/\d{1,4}/\d{1,4}(?![\w/])", lambda found: " slash ".join(cardinal(part) for part in found[0].split("/")))
