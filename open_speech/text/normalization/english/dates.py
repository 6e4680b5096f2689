"""Dates, years, and spans of both. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable

from open_speech.text.normalization.grammar import DASH, Rule, SpokenForm, first_of, matching, word_before
from open_speech.text.numbers_en import MONTHS, cardinal, clock, date, ordinal, plural, year

_MONTH = {name[:3]: at for at, name in enumerate(MONTHS, 1)}
_MONTH_NAME = (
    r"(Jan(?:uary)?|Feb(?:ruary)?|Mar(?:ch)?|Apr(?:il)?|May|June?|July?"
    r"|Aug(?:ust)?|Sept?(?:ember)?|Oct(?:ober)?|Nov(?:ember)?|Dec(?:ember)?)"
)
_DAYS = dict(zip(("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"),
                 ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"), strict=True)) | {
    "Tues": "Tuesday", "Thur": "Thursday", "Thurs": "Thursday",
}  # fmt: skip
_DAY_NAME = "|".join(sorted(_DAYS, key=len, reverse=True))
_YEAR = r"(?:1\d|20)\d\d"
_YEAR_WORDS = frozenset(
    "in since until till by from of before after during year years early late mid circa around about and between through spring summer"
    " autumn fall winter christmas copyright born founded established est class fy ca c q anno december".split()
) | {month.lower() for month in MONTHS}  # fmt: skip
_THE = frozenset("the this last next his her their our its a".split())
_MOST_DAYS, _MONTHS_A_YEAR = 31, 12
_SHORT_YEAR_PIVOT = 50
"""Years of two digits below this are in the 2000s."""
_COUNTED = re.compile(
    r" (?:people|calories|words|units|items|characters|tokens|men|women|students|members|employees|copies|miles|meters|feet|votes|seats"
    r"|times|of|more|other|dollars|euros|pounds|kilometers|steps|pages|years|days|hours)\b"
)
_NOUN = re.compile(r" [a-z]{3,}")


def _valid(day: int, month: int) -> bool:
    return 1 <= month <= _MONTHS_A_YEAR and 1 <= day <= _MOST_DAYS


def whole_year(digits: str) -> str:
    """Return the words of a year of four or two digits: `26` is twenty twenty-six, `98` nineteen ninety-eight."""
    if len(digits) == 2:
        digits = ("20" if int(digits) < _SHORT_YEAR_PIVOT else "19") + digits
    return year(digits)


def _numeric(first: str, second: str, digits: str, *, day_first: bool) -> str | None:
    one, two = int(first), int(second)
    month, day = (two, one) if (day_first or one > _MONTHS_A_YEAR) and two <= _MONTHS_A_YEAR else (one, two)
    if not _valid(day, month):
        return None
    return date(day, month, digits if len(digits) == 4 else ("20" if int(digits) < _SHORT_YEAR_PIVOT else "19") + digits)


def _iso(found: re.Match[str]) -> str | None:
    month, day = int(found[2]), int(found[3])
    if not _valid(day, month):
        return None
    words = date(day, month, found[1])
    if found[4] is None:
        return words
    zone = "" if found[6] is None else " U T C"
    hours, minutes = int(found[4]), int(found[5])
    return f"{words}, {clock(hours, minutes)}{zone}" if hours < 25 and minutes < 60 else None  # noqa: PLR2004 - the clock


def _month_day(found: re.Match[str]) -> str | None:
    day, last, digits = int(found[2]), found[3], found[4] or ""
    if not 1 <= day <= _MOST_DAYS or (last and not day < int(last) <= _MOST_DAYS):
        return None
    if last:
        words = f"{MONTHS[_MONTH[found[1][:3]] - 1]} {ordinal(found[2])} to {ordinal(last)}"
        return f"{words}, {year(digits)}" if digits else words
    return date(day, _MONTH[found[1][:3]], digits)


def _day_month(found: re.Match[str]) -> str | None:
    first, last, month = found[1], found[2], MONTHS[_MONTH[found[3][:3]] - 1]
    if not 1 <= int(last or first) <= _MOST_DAYS or int(first) == 0:
        return None
    words = f"the {ordinal(first)}{f' to the {ordinal(last)}' if last else ''} of {month}"
    return f"{words} {year(found[4])}" if found[4] else words


def _month_year(found: re.Match[str]) -> str:
    return f"{MONTHS[_MONTH[found[1][:3]] - 1]} {whole_year(found[2])}"


_END = r"(?![\w]|[.,]\d|/\d)"
_ISO = matching(r"(\d{4})[-/](\d{2})[-/](\d{2})(?:[T ](\d{2}):(\d{2})(?::\d{2}(?:\.\d{1,9})?)?(Z|\+00:00)?)?(?![\w/:]|-\d|[.,]\d)", _iso)
_MONTH_DAY = matching(
    rf"{_MONTH_NAME}\.? (\d{{1,2}})(?:st|nd|rd|th)?(?: ?{DASH} ?(\d{{1,2}})(?:st|nd|rd|th)?(?![\d:]))?(?:,? ({_YEAR}))?(?![\w:]|[.,]\d|/)",
    _month_day,
)
_DAY_MONTH = matching(
    rf"(\d{{1,2}})(?:st|nd|rd|th)?(?: ?{DASH} ?(\d{{1,2}})(?:st|nd|rd|th)?)?(?: of)? {_MONTH_NAME}(?!\w)\.?(?:,? ({_YEAR})(?!\w|[.,]\d))?",
    _day_month,
)
_MONTH_YEAR = matching(rf"{_MONTH_NAME}\.?,? (?:of )?({_YEAR}){_END}", _month_year)
_DOTTED = matching(
    r"(\d{1,2})\.(\d{1,2})\.(\d{4}|\d{2})(?![\w/]|\.\d)", lambda found: _numeric(found[1], found[2], found[3], day_first=True)
)
_DASH = re.compile(rf" ?{DASH} ?")


def _the(rule: Rule) -> Rule:
    """Avoid a second article in `the 4th of July`: the words of the rule begin with one."""

    def read(text: str, at: int) -> SpokenForm | None:
        form = rule(text, at)
        if form and word_before(text, at).lower() == "the" and form.words.startswith("the "):
            return SpokenForm(form.words.removeprefix("the "), form.end)
        return form

    return read


def span(rule: Rule) -> Rule:
    """Return a rule that reads one form of `rule`, or two of them with a dash between."""

    def read(text: str, at: int) -> SpokenForm | None:
        first = rule(text, at)
        dash = _DASH.match(text, first.end) if first else None
        second = rule(text, dash.end()) if dash else None
        return SpokenForm(f"{first.words} to {second.words}", second.end) if first and second else first

    return read


def numeric(*, day_first: bool) -> Rule:
    """Return the rule for numeric dates: `2026-07-04`, `7/4/26`, `04.07.2026`."""
    slashed = matching(
        r"(\d{1,2})([/-])(\d{1,2})\2(\d{4}|\d{2})(?![\w/-]|[.,]\d)",
        lambda found: _numeric(found[1], found[3], found[4], day_first=day_first),
    )
    return span(first_of(_ISO, slashed, _DOTTED))


NAMED = span(first_of(_MONTH_DAY, _MONTH_YEAR))
"""A date that begins with the name of a month."""
DAY_MONTH = span(_the(_DAY_MONTH))
"""A date that begins with the day."""


def _day_short(found: re.Match[str]) -> str:
    return f"{_DAYS[found[1]]}{f' to {_DAYS[found[2]]}' if found[2] else ''}"


DAYS = matching(
    rf"({_DAY_NAME})(?: ?{DASH} ?({_DAY_NAME}))(?!\w)\.?|(?:(?<=\()|(?<!\S))({_DAY_NAME})(?=\.?,? (?:{_MONTH_NAME}|\d))\.?",
    lambda found: _day_short(found) if found[1] else _DAYS[found[3]],
)
"""`Mon-Fri`, and `Mon, Jul 4`."""
MONTH_SPAN = matching(
    rf"{_MONTH_NAME}\.?(?:/| ?{DASH} ?){_MONTH_NAME}(?!\w)\.?(?: ({_YEAR}){_END})?(?! \d)",
    lambda found: f"{MONTHS[_MONTH[found[1][:3]] - 1]} to {MONTHS[_MONTH[found[2][:3]] - 1]}{f' {year(found[3])}' if found[3] else ''}",
)
MONTH_SHORT = matching(r"(Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept?|Oct|Nov|Dec)\.(?=,? [a-z])", lambda found: MONTHS[_MONTH[found[1][:3]] - 1])


def _slash_day(day_first: bool) -> Callable[[re.Match[str]], str | None]:
    def say(found: re.Match[str]) -> str | None:
        word = word_before(found.string, found.start()).lower()
        if word not in ("on", "due") and word[:3].title() not in _DAYS:
            return None
        one, two = int(found[1]), int(found[2])
        month, day = (two, one) if day_first else (one, two)
        return date(day, month) if _valid(day, month) else None

    return say


def slash_day(*, day_first: bool) -> Rule:
    """Return the rule for a day without a year, if the word before indicates a date: `on 7/4`."""
    return matching(r"(\d{1,2})/(\d{1,2})(?![\w/]|[.,]\d)", _slash_day(day_first))


def _years(found: re.Match[str]) -> str | None:
    first, last = found[1], found[2]
    round_numbers = int(first) % 50 == 0 and int(last) % 50 == 0
    follows = found.string[found.end() : found.end() + 20]
    if int(first) >= int(last) or (round_numbers and _NOUN.match(follows)) or _COUNTED.match(follows):
        return None
    return f"{year(first)} to {year(last)}"


def _short_span(found: re.Match[str]) -> str | None:
    first, last = found[1], found[3]
    if int(first[2:]) >= int(last):
        return None
    return f"{year(first)} to {cardinal(last) if last[0] != '0' else year(first[:2] + last)}"


def _decade(digits: str) -> str:
    return plural(year(digits)) if len(digits) == 4 else plural(cardinal(digits))


DECADES = matching(
    rf"((?:1[1-9]|20)\d0)'?s(?:(?: ?{DASH} ?)'?((?:1[1-9]|20)?\d0)'?s)?(?!\w)",
    lambda found: _decade(found[1]) + (f" to {_decade(found[2])}" if found[2] else ""),
)
YEAR_SPAN = matching(
    rf"(1[1-9]\d\d|20\d\d)(?: ?{DASH} ?(1[1-9]\d\d|20\d\d)|{DASH}(\d\d))(?![\w%]|[.,]\d|{DASH}\d| ?(?:kg|km|mi|m|g|ml|lbs?|%|°))",
    lambda found: _years(found) if found[2] else _short_span(found),
)
_DECADE_WORDS = frozenset("the early late mid his her their in 's".split())


def _bare_decade(found: re.Match[str]) -> str | None:
    known = found[1] or word_before(found.string, found.start()).lower() in _DECADE_WORDS
    before = found.string[max(0, found.start() - 4) : found.start()].lower()
    return plural(cardinal(found[2])) if known or before.endswith(("mid-", "mid–")) else None


BARE_DECADE = matching(r"(['’‘])?([1-9]0)'?s(?!\w)", _bare_decade)
SHORT_YEAR = matching(
    r"['’‘](\d\d)(?!\w)",
    lambda found: cardinal(found[1]) if found[1][0] != "0" else f"oh {cardinal(found[1][1])}",
)


_OPENED, _CLOSED = re.compile(r"[(\[]$|©[ ]?$"), re.compile(r"[)\],;]|$|[ ]")
_LONELY = re.compile(r"(?:1[5-9]|20)(?!00)\d\d")
"""A number of four digits without a counted noun after it is more often a year."""


def _single(found: re.Match[str]) -> str | None:
    text, at = found.string, found.start()
    follows = text[found.end() : found.end() + 30]
    if _COUNTED.match(follows):
        return None
    word = word_before(text, at).lower()
    bracketed = (
        text[max(0, at - 1) : at] in ("(", "[", "©")
        and text[found.end() : found.end() + 1] in (")", "]", ",", ";", "")
        or text[max(0, at - 2) : at] == "© "
    )
    alone = _LONELY.fullmatch(found[0]) is not None and not re.match(r" [a-z]|-", follows)
    after_the = word in _THE and _NOUN.match(follows) and not found[0].endswith("00")
    return year(found[0]) if word in _YEAR_WORDS or bracketed or alone or after_the or follows[:2] in ("'s", "’s") else None


YEAR = matching(r"(?:(?!1000)1\d\d\d|20\d\d)(?!\w|[.,]\d|[%$€£°/]|[-–]\d)", _single)


def _era(found: re.Match[str]) -> str:
    digits = found[1]
    words = year(digits) if len(digits) == 4 and digits[0] != "0" else cardinal(digits.replace(",", ""))
    return f"{words} {' '.join(found[2].replace('.', ''))}"


ERA = matching(r"(\d{1,2},\d{3}|\d{1,5}) ?(BCE?|CE|AD|B\.C\.E?\.?|A\.D\.)(?!\w)", _era)
AD = matching(r"(AD|A\.D\.) (\d{1,4})(?![\w.,]\d|\w)", lambda found: f"A D {year(found[2]) if len(found[2]) == 4 else cardinal(found[2])}")
QUARTER = matching(
    rf"([QH])([1-4])(?:(?:{DASH})([QH])([1-4]))?(?: |, |/)?'?((?:20)?\d\d)?(?!\w)",
    lambda found: (
        f"{found[1]} {cardinal(found[2])}"
        + (f" to {found[3]} {cardinal(found[4])}" if found[3] else "")
        + (f" {whole_year(found[5])}" if found[5] else "")
    ),
)
FISCAL = matching(r"(FY|CY) ?'?((?:20)?\d\d)(?!\w)", lambda found: f"{' '.join(found[1])} {whole_year(found[2])}")
