"""Spanish. Pure."""

from __future__ import annotations

from open_speech.text.normalization.european.language import FEMININE, Language, Money, Noun

_ONES = (
    "cero uno dos tres cuatro cinco seis siete ocho nueve diez once doce trece catorce quince dieciséis diecisiete dieciocho diecinueve"
    " veinte veintiuno veintidós veintitrés veinticuatro veinticinco veintiséis veintisiete veintiocho veintinueve"
).split()
_TENS = ("", "", "", *"treinta cuarenta cincuenta sesenta setenta ochenta noventa".split())
_HUNDREDS = ("", *"ciento doscientos trescientos cuatrocientos quinientos seiscientos setecientos ochocientos novecientos".split())
_MONTHS = "enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre".split()


def _below_thousand(value: int, gender: str, before_noun: bool) -> str:
    if value == 100:  # noqa: PLR2004 - alone it is shorter
        return "cien"
    hundreds, rest = divmod(value, 100)
    words = []
    if hundreds:
        words.append(_HUNDREDS[hundreds].replace("tos", "tas") if gender == FEMININE and hundreds > 1 else _HUNDREDS[hundreds])
    if rest or not hundreds:
        tens, ones = divmod(rest, 10)
        text = _ONES[rest] if rest < 30 else _TENS[tens] + (f" y {_ONES[ones]}" if ones else "")  # noqa: PLR2004 - one word each
        if text.endswith("uno"):
            stem = text.removesuffix("uno")
            text = (
                f"{stem}una"
                if gender == FEMININE
                else f"{stem}ún"
                if before_noun and stem == "veinti"
                else f"{stem}un"
                if before_noun
                else text
            )
        words.append(text)
    return " ".join(words)


def cardinal(value: int, gender: str = "m", before_noun: bool = False) -> str:
    """Return the words of a whole number: `21` is veintiuno, before a noun veintiún or veintiuna."""
    if value >= 10**12:
        billions, rest = divmod(value, 10**12)
        text = "un billón" if billions == 1 else f"{cardinal(billions, 'm', True)} billones"
        return f"{text} {cardinal(rest, gender, before_noun)}" if rest else text
    if value >= 10**6:
        millions, rest = divmod(value, 10**6)
        text = "un millón" if millions == 1 else f"{cardinal(millions, 'm', True)} millones"
        return f"{text} {cardinal(rest, gender, before_noun)}" if rest else text
    thousands, rest = divmod(value, 1000)
    words = []
    if thousands:
        words.append("mil" if thousands == 1 else f"{_below_thousand(thousands, gender, True)} mil")
    if rest or not thousands:
        words.append(_below_thousand(rest, gender, before_noun))
    return " ".join(words)


_FIRST = "primero segundo tercero cuarto quinto sexto séptimo octavo noveno décimo undécimo duodécimo".split()
_TENTHS = ("", "décimo", *"vigésimo trigésimo cuadragésimo quincuagésimo sexagésimo septuagésimo octogésimo nonagésimo".split())


def ordinal(value: int, gender: str = "m", before: str = "") -> str:
    """Return the words of an ordinal number from 1 to 99: primero, primera, vigésimo primero."""
    if value > 99:  # noqa: PLR2004 - larger ones are counted
        return cardinal(value)
    tens, ones = divmod(value, 10)
    text = _FIRST[value - 1] if value <= len(_FIRST) else f"{_TENTHS[tens]} {_FIRST[ones - 1] if ones else ''}".strip()
    return " ".join(f"{word[:-1]}a" for word in text.split()) if gender == FEMININE else text


def _date(day: int, month: int, year_words: str, before: str) -> str:
    return f"{cardinal(day)} de {_MONTHS[month - 1]}" + (f" de {year_words}" if year_words else "")


def _clock(hours: int, minutes: int) -> str:
    hour = cardinal(hours, FEMININE)
    return f"{hour} {cardinal(minutes)}" if minutes else f"{hour} {'hora' if hours == 1 else 'horas'}"


_CENT = Noun("céntimo", "céntimos")
_CENTAVO = Noun("centavo", "centavos")
_MILLION = (Noun("millón", "millones"), 6)
_BILLION = (Noun("mil millones", "mil millones"), 9)
SPANISH = Language(
    cardinal=cardinal, ordinal=ordinal, year=cardinal, date=_date, clock=_clock,
    money=lambda whole, part: f"{whole} con {part}",
    months={name: at for at, month in enumerate(_MONTHS, 1) for name in (month, month[:3])} | {"setiembre": 9, "sept": 9},
    point="coma", minus="menos", plus="más", to="a", equals="igual a", both="y", percent="por ciento", of="de",
    magnitudes={"M": _MILLION, "millones": _MILLION, "millón": _MILLION, "mil millones": _BILLION, "mil": (Noun("mil", "mil"), 3)},
    units={
        "km": Noun("kilómetro", "kilómetros"), "m": Noun("metro", "metros"), "cm": Noun("centímetro", "centímetros"),
        "mm": Noun("milímetro", "milímetros"),
        "kg": Noun("kilogramo", "kilogramos"), "g": Noun("gramo", "gramos"), "mg": Noun("miligramo", "miligramos"),
        "t": Noun("tonelada", "toneladas", "f"),
        "l": Noun("litro", "litros"), "ml": Noun("mililitro", "mililitros"), "h": Noun("hora", "horas", "f"),
        "min": Noun("minuto", "minutos"),
        "s": Noun("segundo", "segundos"), "km/h": Noun("kilómetro por hora", "kilómetros por hora"),
        "m²": Noun("metro cuadrado", "metros cuadrados"),
        "km²": Noun("kilómetro cuadrado", "kilómetros cuadrados"), "m³": Noun("metro cúbico", "metros cúbicos"),
        "°C": Noun("grado Celsius", "grados Celsius"),
        "°": Noun("grado", "grados"), "MB": Noun("megabyte", "megabytes"), "GB": Noun("gigabyte", "gigabytes"),
        "TB": Noun("terabyte", "terabytes"),
        "kWh": Noun("kilovatio hora", "kilovatios hora"), "kW": Noun("kilovatio", "kilovatios"), "W": Noun("vatio", "vatios"),
        "V": Noun("voltio", "voltios"),
        "Hz": Noun("hercio", "hercios"), "GHz": Noun("gigahercio", "gigahercios"),
    },
    currencies={
        "€": Money(Noun("euro", "euros"), _CENT), "EUR": Money(Noun("euro", "euros"), _CENT),
        "$": Money(Noun("dólar", "dólares"), _CENTAVO),
        "US$": Money(Noun("dólar", "dólares"), _CENTAVO), "£": Money(Noun("libra", "libras", "f"), Noun("penique", "peniques")),
        "¥": Money(Noun("yen", "yenes")), "R$": Money(Noun("real", "reales"), _CENTAVO),
        "MXN": Money(Noun("peso mexicano", "pesos mexicanos"), _CENTAVO),
    },
    abbreviations={
        "Sr.": "señor", "Sra.": "señora", "Srta.": "señorita", "Dr.": "doctor", "Dra.": "doctora", "Ud.": "usted", "Uds.": "ustedes",
        "etc.": "etcétera",
        "p. ej.": "por ejemplo", "EE. UU.": "Estados Unidos", "EE.UU.": "Estados Unidos", "pág.": "página", "núm.": "número",
        "n.º": "número", "nº": "número",
        "Nº": "número", "tel.": "teléfono", "av.": "avenida", "Av.": "Avenida", "aprox.": "aproximadamente",
    },
    signs={".": "punto", "@": "arroba", "/": "barra", "-": "guion", "_": "guion bajo", ":": "dos puntos"},
    counted=r" (?!(?:de|del|y|e|o|u|a|en|es|con|por|para|que|al|se|no|sin|menos|más|son|ha|han)\b)[a-zà-ÿ]{2,}",
    feminine=r" (?!d[ií]as?\b|[a-zà-ÿ]{1,20}(?:m|et|ist)as?\b|una?\b|para\b|hasta\b|cada\b|era\b)[a-zà-ÿ]{2,20}as?\b",
    month_pattern=r" de ", ordinal_pattern=r"\.?([ºª°])(?!C)",
    clock_pattern=r"(\d{1,2}):([0-5]\d)(?: ?h)?(?![\d:.\w])|(\d{1,2}) h ([0-5]\d)|()()",
)  # fmt: skip
