"""Italian. Pure."""

from __future__ import annotations

from open_speech.text.normalization.european.language import FEMININE, Language, Money, Noun

_ONES = (
    "zero uno due tre quattro cinque sei sette otto nove dieci undici dodici tredici quattordici quindici sedici"
    " diciassette diciotto diciannove"
).split()
_TENS = ("", "", *"venti trenta quaranta cinquanta sessanta settanta ottanta novanta".split())
_MONTHS = "gennaio febbraio marzo aprile maggio giugno luglio agosto settembre ottobre novembre dicembre".split()


def _below_hundred(value: int) -> str:
    if value < 20:  # noqa: PLR2004 - these have names of their own
        return _ONES[value]
    tens, ones = divmod(value, 10)
    stem = _TENS[tens][:-1] if ones in (1, 8) else _TENS[tens]
    return stem + ("tré" if ones == 3 else _ONES[ones] if ones else "")  # noqa: PLR2004 - three is stressed


def _below_thousand(value: int) -> str:
    hundreds, rest = divmod(value, 100)
    text = "" if not hundreds else "cento" if hundreds == 1 else f"{_ONES[hundreds]}cento"
    if rest // 10 == 8:  # noqa: PLR2004 - centottanta
        text = text.removesuffix("o")
    small = _below_hundred(rest) if rest or not text else ""
    return text + ("tré" if text and small == "tre" else small)


def cardinal(value: int, gender: str = "m", before_noun: bool = False) -> str:
    """Return the words of a whole number: `28` is ventotto, `1000` mille, `2000` duemila; `1` before a noun is un or una."""
    words = []
    for size, one, many in ((10**12, "un bilione", "bilioni"), (10**9, "un miliardo", "miliardi"), (10**6, "un milione", "milioni")):
        count, value = divmod(value, size)
        if count:
            words.append(one if count == 1 else f"{_below_thousand(count)} {many}")
    thousands, rest = divmod(value, 1000)
    text = "" if not thousands else "mille" if thousands == 1 else f"{_below_thousand(thousands).replace('é', 'e')}mila"
    if rest or not (text or words):
        small = _below_thousand(rest)
        text += "tré" if text and small == "tre" else small
    if before_noun and text == "uno":
        text = "una" if gender == FEMININE else "un"
    return " ".join(filter(None, [*words, text]))


_FIRST = "primo secondo terzo quarto quinto sesto settimo ottavo nono decimo".split()


def ordinal(value: int, gender: str = "m", before: str = "") -> str:
    """Return the words of an ordinal number: primo, prima, ventunesimo."""
    if value <= len(_FIRST):
        text = _FIRST[value - 1]
    else:
        stem = cardinal(value)
        text = f"{stem.replace('é', 'e') if value % 10 in (3, 6) and value % 100 not in (13, 16) else stem[:-1]}esimo"  # noqa: PLR2004 - ventitreesimo
    return f"{text[:-1]}a" if gender == FEMININE else text


def _date(day: int, month: int, year_words: str, before: str) -> str:
    return f"{'primo' if day == 1 else cardinal(day)} {_MONTHS[month - 1]} {year_words}".rstrip()


def _clock(hours: int, minutes: int) -> str:
    hour = "una" if hours == 1 else cardinal(hours)
    return f"{hour} e {cardinal(minutes)}" if minutes else hour


_CENT = Noun("centesimo", "centesimi")
_MILLION = (Noun("milione", "milioni"), 6)
_BILLION = (Noun("miliardo", "miliardi"), 9)
ITALIAN = Language(
    cardinal=cardinal, ordinal=ordinal, year=cardinal, date=_date, clock=_clock,
    money=lambda whole, part: f"{whole} e {part}",
    months={name: at for at, month in enumerate(_MONTHS, 1) for name in (month, month[:3])} | {"sett": 9},
    point="virgola", minus="meno", plus="più", to="a", equals="uguale a", both="e", percent="per cento", of="di",
    magnitudes={
        "mln": _MILLION, "mld": _BILLION, "milioni": _MILLION, "milione": _MILLION, "miliardi": _BILLION, "miliardo": _BILLION,
        "mila": (Noun("mila", "mila"), 3),
    },
    units={
        "km": Noun("chilometro", "chilometri"), "m": Noun("metro", "metri"), "cm": Noun("centimetro", "centimetri"),
        "mm": Noun("millimetro", "millimetri"),
        "kg": Noun("chilogrammo", "chilogrammi"), "g": Noun("grammo", "grammi"), "mg": Noun("milligrammo", "milligrammi"),
        "t": Noun("tonnellata", "tonnellate", "f"),
        "l": Noun("litro", "litri"), "ml": Noun("millilitro", "millilitri"), "h": Noun("ora", "ore", "f"), "min": Noun("minuto", "minuti"),
        "s": Noun("secondo", "secondi"), "km/h": Noun("chilometro orario", "chilometri orari"),
        "m²": Noun("metro quadrato", "metri quadrati"),
        "km²": Noun("chilometro quadrato", "chilometri quadrati"), "m³": Noun("metro cubo", "metri cubi"),
        "°C": Noun("grado Celsius", "gradi Celsius"),
        "°": Noun("grado", "gradi"), "MB": Noun("megabyte", "megabyte"), "GB": Noun("gigabyte", "gigabyte"),
        "TB": Noun("terabyte", "terabyte"),
        "kWh": Noun("chilowattora", "chilowattora"), "kW": Noun("chilowatt", "chilowatt"), "W": Noun("watt", "watt"),
        "V": Noun("volt", "volt"),
        "Hz": Noun("hertz", "hertz"), "GHz": Noun("gigahertz", "gigahertz"),
    },
    currencies={
        "€": Money(Noun("euro", "euro"), _CENT), "EUR": Money(Noun("euro", "euro"), _CENT), "$": Money(Noun("dollaro", "dollari"), _CENT),
        "£": Money(Noun("sterlina", "sterline", "f"), Noun("penny", "pence")),
        "CHF": Money(Noun("franco svizzero", "franchi svizzeri"), _CENT),
        "¥": Money(Noun("yen", "yen")),
    },
    abbreviations={
        "Sig.": "signor", "Sig.ra": "signora", "Sig.na": "signorina", "Dott.": "dottor", "Dott.ssa": "dottoressa", "Prof.": "professor",
        "Ing.": "ingegner",
        "Avv.": "avvocato", "ecc.": "eccetera", "es.": "esempio", "n.": "numero", "pag.": "pagina", "tel.": "telefono", "ca.": "circa",
        "S.p.A.": "società per azioni",
    },
    signs={".": "punto", "@": "chiocciola", "/": "barra", "-": "trattino", "_": "trattino basso", ":": "due punti"},
    counted=r" (?!(?:di|del|e|ed|o|a|ad|in|con|per|da|che|è|sono|non|su)\b)[a-zà-ÿ]{2,}",
    feminine=r" (?!(?:una?|alla|della|dalla|sulla|nella|ha|va)\b|[a-zà-ÿ]{1,20}(?:m|ist)a\b)[a-zà-ÿ]{2,20}a\b",
    elisions=((r"\buna (?=[aeiou])", "un'"),),
    month_pattern=r"°? ", ordinal_pattern=r"\.?([ºª°])(?!C)",
    clock_pattern=r"(\d{1,2}):([0-5]\d)(?![\d:.])|(\d{1,2})\.([0-5]\d)(?= (?:del|di)\b)|()()",
)  # fmt: skip
