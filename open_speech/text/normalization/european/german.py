"""German. Pure."""

from __future__ import annotations

from open_speech.text.normalization.european.language import FEMININE, Language, Money, Noun

_ONES = (
    "null eins zwei drei vier fünf sechs sieben acht neun zehn elf zwölf dreizehn vierzehn fünfzehn sechzehn siebzehn achtzehn neunzehn"
).split()
_TENS = ("", "", *"zwanzig dreißig vierzig fünfzig sechzig siebzig achtzig neunzig".split())
_MONTHS = "Januar Februar März April Mai Juni Juli August September Oktober November Dezember".split()
_LARGE = ((10**12, "Billion", "Billionen"), (10**9, "Milliarde", "Milliarden"), (10**6, "Million", "Millionen"))


def _below_hundred(value: int) -> str:
    if value < 20:  # noqa: PLR2004 - these have names of their own
        return _ONES[value]
    tens, ones = divmod(value, 10)
    first = "ein" if ones == 1 else _ONES[ones]
    return f"{first}und{_TENS[tens]}" if ones else _TENS[tens]


def _below_million(value: int) -> str:
    thousands, rest = divmod(value, 1000)
    hundreds, tens = divmod(rest, 100)
    words = f"{_joined(thousands)}tausend" if thousands else ""
    words += f"{'ein' if hundreds == 1 else _ONES[hundreds]}hundert" if hundreds else ""
    return words + (_below_hundred(tens) if tens or not words else "")


def _joined(value: int) -> str:
    words = _below_million(value)
    return words.removesuffix("s") if words.endswith("eins") else words


def cardinal(value: int, gender: str = "m", before_noun: bool = False) -> str:
    """Return the words of a whole number: `21` is einundzwanzig; `1` before a noun is ein or eine."""
    words = []
    for size, one, many in _LARGE:
        count, value = divmod(value, size)
        if count:
            words.append(f"eine {one}" if count == 1 else f"{_below_million(count)} {many}")
    if value or not words:
        words.append(_below_million(value))
    if before_noun and words[-1] == "eins":
        words[-1] = "eine" if gender == FEMININE else "ein"
    elif before_noun and words[-1].endswith("eins"):
        words[-1] = words[-1].removesuffix("s")
    return " ".join(words)


def year(value: int) -> str:
    """Return the words of a year: 1984 is neunzehnhundertvierundachtzig."""
    high, low = divmod(value, 100)
    if 11 <= high <= 19:  # noqa: PLR2004 - the centuries that are spoken in hundreds
        return f"{_ONES[high]}hundert{_below_hundred(low) if low else ''}"
    return cardinal(value)


_ODD = {1: "ers", 3: "drit", 7: "sieb", 8: "ach"}
_OBLIQUE = frozenset("am vom zum dem den im seit ab beim des bis einem einen unserem ihrem seinem".split())
_STRONG = frozenset("der die das".split())


def ordinal(value: int, gender: str = "m", before: str = "der") -> str:
    """Return the words of an ordinal number, with the ending that the word before requires: am dritten, der dritte, dritter."""
    small = value % 100
    if small in _ODD:
        stem = (cardinal(value - small) if value > small else "") + _ODD[small]
    else:
        stem = cardinal(value)
    stem += "st" if small >= 20 or small == 0 else "t"  # noqa: PLR2004 - from twenty on, and in hundreds
    if before.lower() in _OBLIQUE:
        return f"{stem}en"
    return f"{stem}e" if before.lower() in _STRONG else f"{stem}er"


def _date(day: int, month: int, year_words: str, before: str) -> str:
    return f"{ordinal(day, 'm', before)} {_MONTHS[month - 1]} {year_words}".rstrip()


def _clock(hours: int, minutes: int) -> str:
    hour = "ein" if hours == 1 else cardinal(hours)
    return f"{hour} Uhr {cardinal(minutes)}" if minutes else f"{hour} Uhr"


def _same(name: str, gender: str = "m") -> Noun:
    return Noun(name, name, gender)


GERMAN = Language(
    cardinal=cardinal, ordinal=ordinal, year=year, date=_date, clock=_clock,
    money=lambda whole, part: f"{whole} und {part}",
    months={name: at for at, month in enumerate(_MONTHS, 1) for name in (month.lower(), month[:3].lower())} | {"jänner": 1, "sept": 9},
    point="Komma", minus="minus", plus="plus", to="bis", equals="gleich", both="und", percent="Prozent", of="",
    magnitudes={
        "Mio.": (Noun("Million", "Millionen", "f"), 6), "Mio": (Noun("Million", "Millionen", "f"), 6),
        "Mrd.": (Noun("Milliarde", "Milliarden", "f"), 9), "Mrd": (Noun("Milliarde", "Milliarden", "f"), 9),
        "Millionen": (Noun("Million", "Millionen", "f"), 6), "Million": (Noun("Million", "Millionen", "f"), 6),
        "Milliarden": (Noun("Milliarde", "Milliarden", "f"), 9), "Tsd.": (Noun("tausend", "tausend"), 3),
        "tausend": (Noun("tausend", "tausend"), 3),
    },
    units={
        "km": _same("Kilometer"), "m": _same("Meter"), "cm": _same("Zentimeter"), "mm": _same("Millimeter"), "kg": _same("Kilogramm"),
        "g": _same("Gramm"), "mg": _same("Milligramm"), "t": Noun("Tonne", "Tonnen", "f"), "l": _same("Liter"), "ml": _same("Milliliter"),
        "h": Noun("Stunde", "Stunden", "f"), "Std.": Noun("Stunde", "Stunden", "f"), "min": Noun("Minute", "Minuten", "f"),
        "Min.": Noun("Minute", "Minuten", "f"), "s": Noun("Sekunde", "Sekunden", "f"),
        "km/h": Noun("Kilometer pro Stunde", "Kilometer pro Stunde"),
        "m²": _same("Quadratmeter"), "km²": _same("Quadratkilometer"), "m³": _same("Kubikmeter"), "°C": _same("Grad Celsius"),
        "°": _same("Grad"),
        "MB": _same("Megabyte"), "GB": _same("Gigabyte"), "TB": _same("Terabyte"), "kWh": Noun("Kilowattstunde", "Kilowattstunden", "f"),
        "kW": _same("Kilowatt"), "W": _same("Watt"), "V": _same("Volt"), "Hz": _same("Hertz"), "MHz": _same("Megahertz"),
        "GHz": _same("Gigahertz"),
    },
    currencies={
        "€": Money(_same("Euro"), _same("Cent")), "EUR": Money(_same("Euro"), _same("Cent")), "$": Money(_same("Dollar"), _same("Cent")),
        "£": Money(_same("Pfund"), _same("Pence")), "CHF": Money(_same("Franken"), _same("Rappen")), "¥": Money(_same("Yen")),
    },
    abbreviations={
        "z. B.": "zum Beispiel", "z.B.": "zum Beispiel", "d. h.": "das heißt", "d.h.": "das heißt", "u. a.": "unter anderem",
        "u.a.": "unter anderem",
        "usw.": "und so weiter", "bzw.": "beziehungsweise", "ca.": "circa", "Dr.": "Doktor", "Prof.": "Professor", "St.": "Sankt",
        "vgl.": "vergleiche",
        "ggf.": "gegebenenfalls", "inkl.": "inklusive", "zzgl.": "zuzüglich", "evtl.": "eventuell", "Hr.": "Herr", "Fr.": "Frau",
        "S.": "Seite", "Nr.": "Nummer",
        "Kap.": "Kapitel", "Abb.": "Abbildung", "Tel.": "Telefon",
    },
    signs={".": "Punkt", "@": "at", "/": "Schrägstrich", "-": "minus", "_": "Unterstrich", ":": "Doppelpunkt"},
    counted=r" [A-ZÄÖÜ][a-zäöüß]{1,}",
    month_pattern=r"\. ?", ordinal_pattern=r"\.(?= [A-ZÄÖÜ])()",
    clock_pattern=r"(\d{1,2})[:.]([0-5]\d)(?: ?Uhr)|(\d{1,2}):([0-5]\d)(?![\d:.])|(\d{1,2}) Uhr(?![\wäöü])",
)  # fmt: skip
