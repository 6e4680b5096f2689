"""French. Pure."""

from __future__ import annotations

from open_speech.text.normalization.european.language import FEMININE, Language, Money, Noun

_ONES = ("zéro un deux trois quatre cinq six sept huit neuf dix onze douze treize quatorze quinze seize dix-sept dix-huit dix-neuf").split()
_TENS = ("", "", *"vingt trente quarante cinquante soixante soixante quatre-vingt quatre-vingt".split())
_MONTHS = "janvier février mars avril mai juin juillet août septembre octobre novembre décembre".split()


def _below_hundred(value: int) -> str:
    if value < 20:  # noqa: PLR2004 - these have names of their own
        return _ONES[value]
    tens, ones = divmod(value, 10)
    if tens in (7, 9):
        ones += 10
    if not ones:
        return "quatre-vingts" if tens == 8 else _TENS[tens]  # noqa: PLR2004 - four twenties
    joint = " et " if ones in (1, 11) and tens < 8 else "-"  # noqa: PLR2004 - as above
    return f"{_TENS[tens]}{joint}{_ONES[ones]}"


def _below_thousand(value: int, *, last: bool) -> str:
    hundreds, rest = divmod(value, 100)
    if not hundreds:
        return _below_hundred(rest)
    words = "cent" if hundreds == 1 else f"{_ONES[hundreds]} cent{'s' if not rest and last else ''}"
    return f"{words} {_below_hundred(rest)}" if rest else words


def cardinal(value: int, gender: str = "m", before_noun: bool = False) -> str:
    """Return the words of a whole number: `71` is soixante et onze, `80` quatre-vingts; `1` is une for feminine nouns."""
    words = []
    for size, name in ((10**12, "billion"), (10**9, "milliard"), (10**6, "million")):
        count, value = divmod(value, size)
        if count:
            words.append(f"{_below_thousand(count, last=True)} {name}{'s' if count > 1 else ''}")
    thousands, rest = divmod(value, 1000)
    if thousands:
        many = _below_thousand(thousands, last=False)
        words.append("mille" if thousands == 1 else f"{many.removesuffix('s') if many.endswith('vingts') else many} mille")
    if rest or not words:
        words.append(_below_thousand(rest, last=True))
    if gender == FEMININE and words[-1].endswith("un"):
        words[-1] += "e"
    return " ".join(words)


def ordinal(value: int, gender: str = "m", before: str = "") -> str:
    """Return the words of an ordinal number: premier, première, vingt et unième."""
    if value == 1:
        return "première" if gender == FEMININE else "premier"
    words = cardinal(value)
    if words.endswith("cinq"):
        return f"{words}uième"
    if words.endswith("neuf"):
        return f"{words[:-1]}vième"
    return f"{words.removesuffix('s') if words.endswith(('vingts', 'cents')) else words.removesuffix('e')}ième"


def _date(day: int, month: int, year_words: str, before: str) -> str:
    return f"{'premier' if day == 1 else cardinal(day)} {_MONTHS[month - 1]} {year_words}".rstrip()


def _clock(hours: int, minutes: int) -> str:
    hour = f"{cardinal(hours, FEMININE)} heure{'s' if hours > 1 else ''}"
    return f"{hour} {cardinal(minutes)}" if minutes else hour


_CENT = Noun("centime", "centimes")
_MILLION = (Noun("million", "millions"), 6)
_BILLION = (Noun("milliard", "milliards"), 9)
FRENCH = Language(
    cardinal=cardinal, ordinal=ordinal, year=cardinal, date=_date, clock=_clock,
    money=lambda whole, part: f"{whole} et {part}",
    months={name: at for at, month in enumerate(_MONTHS, 1) for name in (month, month[:3])}
    | {"janv": 1, "févr": 2, "avr": 4, "juil": 7, "sept": 9, "jui": 6},
    point="virgule", minus="moins", plus="plus", to="à", equals="égale", both="et", percent="pour cent", of="de",
    magnitudes={
        "M": _MILLION, "Md": _BILLION, "Mds": _BILLION, "millions": _MILLION, "million": _MILLION, "milliards": _BILLION,
        "milliard": _BILLION, "mille": (Noun("mille", "mille"), 3),
    },
    units={
        "km": Noun("kilomètre", "kilomètres"), "m": Noun("mètre", "mètres"), "cm": Noun("centimètre", "centimètres"),
        "mm": Noun("millimètre", "millimètres"),
        "kg": Noun("kilogramme", "kilogrammes"), "g": Noun("gramme", "grammes"), "mg": Noun("milligramme", "milligrammes"),
        "t": Noun("tonne", "tonnes", "f"),
        "l": Noun("litre", "litres"), "ml": Noun("millilitre", "millilitres"), "h": Noun("heure", "heures", "f"),
        "min": Noun("minute", "minutes", "f"),
        "s": Noun("seconde", "secondes", "f"), "km/h": Noun("kilomètre par heure", "kilomètres par heure"),
        "m²": Noun("mètre carré", "mètres carrés"),
        "km²": Noun("kilomètre carré", "kilomètres carrés"), "m³": Noun("mètre cube", "mètres cubes"),
        "°C": Noun("degré Celsius", "degrés Celsius"),
        "°": Noun("degré", "degrés"), "Mo": Noun("mégaoctet", "mégaoctets"), "Go": Noun("gigaoctet", "gigaoctets"),
        "To": Noun("téraoctet", "téraoctets"),
        "GB": Noun("gigaoctet", "gigaoctets"), "kWh": Noun("kilowattheure", "kilowattheures"), "kW": Noun("kilowatt", "kilowatts"),
        "W": Noun("watt", "watts"),
        "V": Noun("volt", "volts"), "Hz": Noun("hertz", "hertz"), "GHz": Noun("gigahertz", "gigahertz"),
    },
    currencies={
        "€": Money(Noun("euro", "euros"), _CENT), "EUR": Money(Noun("euro", "euros"), _CENT),
        "$": Money(Noun("dollar", "dollars"), Noun("cent", "cents")),
        "£": Money(Noun("livre", "livres", "f"), Noun("penny", "pence")), "CHF": Money(Noun("franc suisse", "francs suisses"), _CENT),
        "¥": Money(Noun("yen", "yens")),
    },
    abbreviations={
        "M.": "monsieur", "Mme": "madame", "Mmes": "mesdames", "Mlle": "mademoiselle", "Dr": "docteur", "Pr": "professeur",
        "St": "saint", "Ste": "sainte",
        "etc.": "et cetera", "p. ex.": "par exemple", "c.-à-d.": "c'est-à-dire", "n°": "numéro", "N°": "numéro", "nº": "numéro",
        "av.": "avenue", "bd": "boulevard",
        "env.": "environ", "tél.": "téléphone",
    },
    signs={".": "point", "@": "arobase", "/": "barre oblique", "-": "tiret", "_": "tiret bas", ":": "deux-points"},
    elisions=((r"\bde (?=[aeiouéh])", "d'"),),
    month_pattern=r"(?:er)? ", ordinal_pattern=r"(ers?|res?|ères?|es?|èmes?|nde?)(?!\w)",
    clock_pattern=r"(\d{1,2}) ?h ?([0-5]\d)(?!\w)|(\d{1,2}):([0-5]\d)(?![\d:.])|(\d{1,2}) ?h(?![\w/])",
)  # fmt: skip
