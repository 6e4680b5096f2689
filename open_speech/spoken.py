"""What is written for the eye -> what is said: numbers, money, units, dates, addresses, abbreviations. English; other languages are left
to their engine's own reader. Pure.

Rules are tried in order, each over the whole sentence; what one has put into words, the next cannot take for figures. Every pattern is
bounded and no two of its repeats can match the same text, so a sentence of any kind is read in linear time.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from open_speech.ipa import around
from open_speech.numerals import MONTHS, cardinal, clock, date, number, ordinal, plural, spelled, year

_Say = Callable[[re.Match[str]], str]

_NUMBER = r"\d{1,3}(?:,\d{3}){1,6}(?:\.\d{1,12})?|\d{1,20}(?:\.\d{1,12})?"
_BEFORE = r"(?<![\w.,])(?<!\w[-'])"
"""No figure belongs to a word: mp3, B2B, GPT-4."""
_AFTER = r"(?![\w]|[.,]\d)"
_MAGNITUDES = {"k": "thousand", "K": "thousand", "m": "million", "M": "million", "mn": "million", "bn": "billion", "B": "billion"}
_MONEY = {
    "$": ("dollar", "dollars", "cent", "cents"), "€": ("euro", "euros", "cent", "cents"), "£": ("pound", "pounds", "penny", "pence"),
    "¥": ("yen", "yen", "", ""), "₹": ("rupee", "rupees", "paisa", "paise"), "₩": ("won", "won", "", ""), "¢": ("cent", "cents", "", ""),
    "₽": ("rouble", "roubles", "kopeck", "kopecks"), "₿": ("bitcoin", "bitcoins", "", ""),
}  # fmt: skip
_SIGNS = "".join(_MONEY)
_UNITS = {
    "km": "kilometer", "m": "meter", "cm": "centimeter", "mm": "millimeter", "nm": "nanometer", "mi": "mile", "ft": "foot", "yd": "yard",
    "kg": "kilogram", "g": "gram", "mg": "milligram", "lb": "pound", "lbs": "pound", "oz": "ounce", "l": "liter", "L": "liter",
    "ml": "milliliter", "mL": "milliliter", "h": "hour", "hr": "hour", "hrs": "hour", "min": "minute", "mins": "minute", "s": "second",
    "sec": "second", "secs": "second", "ms": "millisecond", "B": "byte", "kB": "kilobyte", "KB": "kilobyte", "MB": "megabyte",
    "GB": "gigabyte", "TB": "terabyte", "KiB": "kibibyte", "MiB": "mebibyte", "GiB": "gibibyte", "Hz": "hertz", "kHz": "kilohertz",
    "MHz": "megahertz", "GHz": "gigahertz", "W": "watt", "kW": "kilowatt", "MW": "megawatt", "kWh": "kilowatt hour", "V": "volt",
    "mAh": "milliamp hour", "dB": "decibel", "cal": "calorie", "kcal": "kilocalorie", "m²": "square meter", "km²": "square kilometer",
    "m³": "cubic meter", "°C": "degree Celsius", "℃": "degree Celsius", "°F": "degree Fahrenheit", "℉": "degree Fahrenheit",
    "°": "degree", "km/h": "kilometer per hour", "kph": "kilometer per hour", "mph": "mile per hour", "m/s": "meter per second",
    "Mbps": "megabit per second", "Gbps": "gigabit per second", "px": "pixel", "%": "percent", "‰": "per mille",
}  # fmt: skip
_SAME = {"hertz", "kilohertz", "megahertz", "gigahertz", "percent", "per mille"}
_MONTH = {name[:3]: at for at, name in enumerate(MONTHS, 1)}
_MONTH_NAME = (
    r"(Jan(?:uary)?|Feb(?:ruary)?|Mar(?:ch)?|Apr(?:il)?|May|June?|July?"
    r"|Aug(?:ust)?|Sept?(?:ember)?|Oct(?:ober)?|Nov(?:ember)?|Dec(?:ember)?)"
)
_ABBREVIATIONS = {
    "Dr": "Doctor", "Mr": "Mister", "Mrs": "Missus", "Ms": "Miz", "Prof": "Professor", "Capt": "Captain", "Gen": "General",
    "Sgt": "Sergeant", "Lt": "Lieutenant", "Col": "Colonel", "Rev": "Reverend", "Hon": "Honorable", "Gov": "Governor", "Sen": "Senator",
    "Rep": "Representative", "St": "Saint",
}  # fmt: skip
"""Before a name."""
_SHORT = {
    "vs": "versus", "etc": "et cetera", "e.g": "for example", "i.e": "that is", "approx": "approximately", "Jr": "Junior", "Sr": "Senior",
    "Inc": "Incorporated", "Ltd": "Limited", "Corp": "Corporation", "Ave": "Avenue", "Blvd": "Boulevard", "Rd": "Road",
    "Dept": "Department", "dept": "department", "est": "estimated", "Vol": "Volume", "vol": "volume",
    "Fig": "Figure", "fig": "figure", "St": "Street",
}  # fmt: skip
_ADDRESS = {
    ".": "dot", "/": "slash", "-": "dash", "_": "underscore", "?": "question mark", "=": "equals", "&": "and", "#": "hash",
    ":": "colon", "~": "tilde", "%": "percent", "@": "at", "+": "plus", ",": "comma", ";": "semicolon", "!": "exclamation mark",
    "*": "star",
    "$": "dollar",
}  # fmt: skip
_ZONES = "com|org|net|edu|gov|io|dev|ai|app|info|eu|uk|de|fr|es|it|nl|ch|at|jp|cn|in|us|ca|au"


def spoken(text: str, language: str) -> str:
    """Write a sentence as it is said; `language` is a BCP-47 tag, and only English is changed. No word is lost."""
    primary, _, region = language.lower().replace("_", "-").partition("-")
    if primary != "en":
        return text
    said = around(text, lambda written: _english(written, day_first=region not in ("", "us")))
    return " ".join(said.split())


def _english(text: str, *, day_first: bool) -> str:
    if text.isascii() and text.replace(" ", "").isalpha():
        return text
    text = _SLASHED.sub(lambda found: _slashed(found, day_first=day_first), text)
    for pattern, say in _RULES:
        text = pattern.sub(say, text)
    return text


def address(text: str) -> str:
    """Say a web or mail address, or a file's path: words as they are, signs by name."""
    text = re.sub(r"^[a-zA-Z]{2,10}://", "", text).rstrip("/")
    return " ".join("".join(f" {_ADDRESS[char]} " if char in _ADDRESS else char for char in text).split())


def _value(text: str) -> str:
    return number(text.replace(",", ""))


def _money(found: re.Match[str]) -> str:
    sign, amount, magnitude = found["sign"] or found["after"], found["amount"].replace(",", ""), found["magnitude"]
    one, many, part, parts = _MONEY[sign]
    if magnitude:
        return f"{number(amount)} {_MAGNITUDES.get(magnitude, magnitude)} {many}"
    whole, _, cents = amount.partition(".")
    if cents and (not part or len(cents) != 2):
        return f"{number(amount)} {many}"
    said = f"{cardinal(whole)} {one if whole == '1' else many}"
    if not cents or cents == "00":
        return said
    small = f"{cardinal(cents.lstrip('0'))} {part if cents == '01' else parts}"
    return small if whole == "0" else f"{said} and {small}"


def _unit(found: re.Match[str]) -> str:
    amount, unit = found[1].replace(",", ""), _UNITS[found[2]]
    said = f"{number(amount)} {unit}"
    if amount == "1" or unit in _SAME:
        return said
    if unit == "foot":
        return f"{number(amount)} feet"
    first, *rest = unit.split(" ")
    if first in ("square", "cubic", "kilowatt", "milliamp"):
        return f"{said}s"
    return " ".join([number(amount), f"{first}s", *rest])


def _slashed(found: re.Match[str], *, day_first: bool) -> str:
    first, second = int(found[1]), int(found[2])
    month, day = (second, first) if (day_first or first > 12) and second <= 12 else (first, second)
    return date(day, month, found[3]) if 1 <= month <= 12 and 1 <= day <= 31 else found[0]


def _iso(found: re.Match[str]) -> str:
    month, day = int(found[2]), int(found[3])
    return date(day, month, found[1]) if 1 <= month <= 12 and 1 <= day <= 31 else found[0]


def _month_day(found: re.Match[str]) -> str:
    day = int(found[2])
    return date(day, _MONTH[found[1][:3]], found[3] or "") if 1 <= day <= 31 else found[0]


def _day_month(found: re.Match[str]) -> str:
    day, month = int(found[1]), MONTHS[_MONTH[found[2][:3]] - 1]
    if not 1 <= day <= 31:
        return found[0]
    return f"the {ordinal(found[1])} of {month}" + (f" {year(found[3])}" if found[3] else "")


def _time(found: re.Match[str]) -> str:
    hours, minutes, seconds = int(found[1]), int(found[2]), found[3]
    if hours > 24 or minutes > 59:
        return found[0]
    if found[4]:
        return f"{clock(hours, minutes) if minutes else cardinal(found[1])} {_half(found, found[4])}"
    said = clock(hours, minutes)
    return f"{said} and {cardinal(str(int(seconds)))} seconds" if seconds else said


def _half(found: re.Match[str], letter: str) -> str:
    """Say `a.m.` or `p.m.`, and keep the full stop of the sentence."""
    return f"{letter.upper()}M{_stop(found)}"


def _stop(found: re.Match[str]) -> str:
    return "." if found[0].endswith(".") and found.end() == len(found.string) else ""


def _phone(found: re.Match[str]) -> str:
    said = ", ".join(spelled(group) for group in re.findall(r"\d+", found[0]))
    return f"plus {said}" if found[0].startswith("+") else said


def _range(found: re.Match[str]) -> str:
    low, high = found[1].replace(",", ""), found[2].replace(",", "")
    return f"{found[1]} to {found[2]}" if float(low) < float(high) else found[0]


_HALVES = {
    "1/2": "one half", "1/3": "one third", "2/3": "two thirds", "1/4": "one quarter", "3/4": "three quarters",
    "24/7": "twenty-four seven",
}  # fmt: skip
_VULGAR = {"½": "one half", "⅓": "one third", "⅔": "two thirds", "¼": "one quarter", "¾": "three quarters"}
_SYMBOLS = {
    "&": "and", "+": "plus", "=": "equals", "×": "times", "÷": "divided by", "±": "plus or minus", "≈": "about", "@": "at", "→": "to",
}  # fmt: skip


def _vulgar(found: re.Match[str]) -> str:
    return f"{cardinal(found[1])} and {_VULGAR[found[2]].replace('one ', 'a ')}" if found[1] else _VULGAR[found[2]]


def _rule(pattern: str, say: _Say) -> tuple[re.Pattern[str], _Say]:
    return re.compile(pattern), say


def _keys(words: dict[str, str]) -> str:
    return "|".join(re.escape(word) for word in sorted(words, key=len, reverse=True))


_SLASHED = re.compile(rf"{_BEFORE}(\d{{1,2}})/(\d{{1,2}})/(\d{{4}})(?![\w/])")
_RULES: tuple[tuple[re.Pattern[str], _Say], ...] = (
    _rule(r"(?<![\w.+-])[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,8}", lambda found: address(found[0])),
    _rule(
        rf"(?<![\w@.])(?:https?://|ftp://|www\.)[^\s<>\"]*[\w/]|(?<![\w@./-])(?:[a-zA-Z0-9-]{{1,63}}\.){{1,5}}(?:{_ZONES})(?:/[^\s<>\"]*[\w/])?(?![\w@-])",
        lambda found: address(found[0]),
    ),
    _rule(rf"{_BEFORE}(\d{{4}})-(\d{{2}})-(\d{{2}})(?![\w-])", _iso),
    _rule(rf"\b{_MONTH_NAME}\.? (\d{{1,2}})(?:st|nd|rd|th)?(?:,? (\d{{4}}))?(?![\w:]|[.,]\d|/)", _month_day),
    _rule(rf"{_BEFORE}(?:the )?(\d{{1,2}})(?:st|nd|rd|th)?(?: of)? {_MONTH_NAME}(?![\w.])(?:,? (\d{{4}})(?![\w]|[.,]\d))?", _day_month),
    _rule(rf"{_BEFORE}(\d{{1,2}}):(\d{{2}})(?::(\d{{2}}))?(?: ?([AaPp])\.? ?[Mm]\b\.?)?(?![\w:])", _time),
    _rule(rf"{_BEFORE}(\d{{1,2}}) ?([AaPp])\.?[Mm]\b\.?(?!\w)", lambda found: f"{cardinal(found[1])} {_half(found, found[2])}"),
    _rule(rf"{_BEFORE}(\d{{1,3}}):(\d{{1,3}})(?![\w:]|[.,]\d)", lambda found: f"{found[1]} to {found[2]}"),
    _rule(r"(?<![\w.,+])(?:\+\d{1,3}[ -])?(?:\(\d{3}\) ?|\d{3}[-. ])\d{3}[-.]\d{4}(?![\w-])", _phone),
    _rule(r"(?<![\w.,])\+\d{1,3}(?:[ -]\d{2,5}){2,5}(?![\w-])", _phone),
    _rule(
        rf"(?<![\w.,])(?<!\d )(?P<sign>[{_SIGNS}]) ?(?P<amount>{_NUMBER})"
        rf"(?: ?(?P<magnitude>k|K|M|mn|bn|B|thousand|million|billion|trillion))?(?P<after>)(?![\w%])",
        _money,
    ),
    _rule(
        rf"{_BEFORE}(?P<sign>)(?P<amount>{_NUMBER}) ?(?P<magnitude>k|M|thousand|million|billion)? ?(?P<after>[{_SIGNS}])(?!\w)", _money
    ),
    _rule(rf"{_BEFORE}({_NUMBER}) ?[-–—] ?({_NUMBER})(?![\w-]|[.,]\d)", _range),
    _rule(rf"(?<![\w.,])[-−]({_NUMBER})(?=\W|$)(?![.,]\d)", lambda found: f"minus {found[1]}"),
    _rule(rf"{_BEFORE}(1[1-9]\d0|20\d0)s\b", lambda found: plural(year(found[1]))),
    _rule(r"(?<!\w)(the |')(\d0)s\b", lambda found: f"{found[1].strip(chr(39))}{plural(cardinal(found[2]))}"),
    _rule(rf"{_BEFORE}({_NUMBER})[ \u00a0]?({_keys(_UNITS)})(?![\w²³/°])", _unit),
    _rule(rf"{_BEFORE}(\d{{1,3}}(?:,\d{{3}}){{1,4}}|\d{{1,12}})(?:st|nd|rd|th)\b", lambda found: ordinal(found[1].replace(",", ""))),
    _rule(
        rf"\b(?i:(in|since|until|by|from|of|before|after|during|year|early|late|mid|{'|'.join(MONTHS)}))( |, )"
        r"(1[1-9]\d\d|20\d\d)(?!\w|[.,]\d|%)",
        lambda found: f"{found[1]}{found[2]}{year(found[3])}",
    ),
    _rule(r"\((1[1-9]\d\d|20\d\d)\)", lambda found: f"({year(found[1])})"),
    _rule(rf"{_BEFORE}(?:{_keys(_HALVES)})(?![\w/])", lambda found: _HALVES[found[0]]),
    _rule(rf"(?:{_BEFORE}(\d{{1,9}}) ?)?([{''.join(_VULGAR)}])", _vulgar),
    _rule(r"\b(?:No|no|Nos)\. ?(?=\d)|(?<!\w)#(?=\d)", lambda found: "number "),
    _rule(rf"{_BEFORE}\d{{1,9}}(?:\.\d{{1,9}}){{2,4}}{_AFTER}", lambda found: " point ".join(map(cardinal, found[0].split(".")))),
    _rule(rf"{_BEFORE}({_NUMBER})x(?!\w)", lambda found: f"{_value(found[1])} times"),
    _rule(rf"(?<![\w.,])(?:{_NUMBER}){_AFTER}|(?<=[A-Za-z][-'])\d{{1,9}}(?![\w.-])", lambda found: _value(found[0])),
    _rule(r"(?<![\w.])\.(\d{1,12})(?![\w.])", lambda found: f"zero point {spelled(found[1])}"),
    _rule(rf"\b({_keys(_ABBREVIATIONS)})\. (?=[A-Z])", lambda found: f"{_ABBREVIATIONS[found[1]]} "),
    _rule(
        rf"(?<![\w.])({_keys(_SHORT)})\.(?!\w)",
        lambda found: _SHORT[found[1]] + _stop(found),
    ),
    _rule(r"(?<=\s)&(?=\s)|(?<=\w)&(?=\w)|(?<=[\w\s])[+=×÷±≈@→](?=[\s\w])", lambda found: f" {_SYMBOLS[found[0]]} "),
)
