"""Portuguese, as in Brazil. Pure."""

from __future__ import annotations

from open_speech.text.normalization.european.language import FEMININE, Language, Money, Noun

_ONES = (
    "zero um dois três quatro cinco seis sete oito nove dez onze doze treze quatorze quinze dezesseis dezessete dezoito dezenove"
).split()
_TENS = ("", "", *"vinte trinta quarenta cinquenta sessenta setenta oitenta noventa".split())
_HUNDREDS = ("", *"cento duzentos trezentos quatrocentos quinhentos seiscentos setecentos oitocentos novecentos".split())
_MONTHS = "janeiro fevereiro março abril maio junho julho agosto setembro outubro novembro dezembro".split()


def _below_thousand(value: int, gender: str) -> str:
    if value == 100:  # noqa: PLR2004 - alone it is shorter
        return "cem"
    hundreds, rest = divmod(value, 100)
    tens, ones = divmod(rest, 10)
    words = [_HUNDREDS[hundreds]] if hundreds else []
    if rest >= 20:  # noqa: PLR2004 - tens and ones
        words.append(_TENS[tens])
        words += [_ONES[ones]] if ones else []
    elif rest or not hundreds:
        words.append(_ONES[rest])
    if gender == FEMININE:
        words = [{"um": "uma", "dois": "duas"}.get(word, f"{word[:-2]}as" if word.endswith("tos") else word) for word in words]
    return " e ".join(words)


def cardinal(value: int, gender: str = "m", before_noun: bool = False) -> str:
    """Return the words of a whole number: `21` is vinte e um, or vinte e uma for feminine nouns."""
    words: list[str] = []
    for size, one, many in ((10**12, "um trilhão", "trilhões"), (10**9, "um bilhão", "bilhões"), (10**6, "um milhão", "milhões")):
        count, value = divmod(value, size)
        if count:
            words.append(one if count == 1 else f"{_below_thousand(count, 'm')} {many}")
    thousands, rest = divmod(value, 1000)
    if thousands:
        words.append("mil" if thousands == 1 else f"{_below_thousand(thousands, gender)} mil")
    if rest or not words:
        small = _below_thousand(rest, gender)
        # `mil e duzentos`, but `mil duzentos e trinta`.
        words.append(f"e {small}" if words and (rest < 100 or rest % 100 == 0) else small)  # noqa: PLR2004 - hundreds
    return " ".join(words)


_FIRST = "primeiro segundo terceiro quarto quinto sexto sétimo oitavo nono décimo".split()
_TENTHS = ("", "décimo", *"vigésimo trigésimo quadragésimo quinquagésimo sexagésimo septuagésimo octogésimo nonagésimo".split())


def ordinal(value: int, gender: str = "m", before: str = "") -> str:
    """Return the words of an ordinal number from 1 to 99: primeiro, primeira, vigésimo primeiro."""
    if value > 99:  # noqa: PLR2004 - larger ones are counted
        return cardinal(value, gender)
    tens, ones = divmod(value, 10)
    words = _FIRST[value - 1] if value <= len(_FIRST) else f"{_TENTHS[tens]} {_FIRST[ones - 1] if ones else ''}".strip()
    return " ".join(f"{word[:-1]}a" for word in words.split()) if gender == FEMININE else words


def _date(day: int, month: int, year_words: str, before: str) -> str:
    return f"{'primeiro' if day == 1 else cardinal(day)} de {_MONTHS[month - 1]}" + (f" de {year_words}" if year_words else "")


def _clock(hours: int, minutes: int) -> str:
    hour = f"{cardinal(hours, FEMININE)} {'hora' if hours == 1 else 'horas'}"
    return f"{hour} e {cardinal(minutes)}" if minutes else hour


_CENT = Noun("centavo", "centavos")
_EURO = Money(Noun("euro", "euros"), Noun("centavo", "centavos"))
_REAL = Money(Noun("real", "reais"), _CENT)
_MILLION = (Noun("milhão", "milhões"), 6)
_BILLION = (Noun("bilhão", "bilhões"), 9)
PORTUGUESE = Language(
    cardinal=cardinal, ordinal=ordinal, year=cardinal, date=_date, clock=_clock,
    money=lambda whole, part: f"{whole} e {part}",
    months={name: at for at, month in enumerate(_MONTHS, 1) for name in (month, month[:3])},
    point="vírgula", minus="menos", plus="mais", to="a", equals="igual a", both="e", percent="por cento", of="de",
    magnitudes={
        "mi": _MILLION, "bi": _BILLION, "milhões": _MILLION, "milhão": _MILLION, "bilhões": _BILLION, "bilhão": _BILLION,
        "mil": (Noun("mil", "mil"), 3),
    },
    units={
        "km": Noun("quilômetro", "quilômetros"), "m": Noun("metro", "metros"), "cm": Noun("centímetro", "centímetros"),
        "mm": Noun("milímetro", "milímetros"),
        "kg": Noun("quilograma", "quilogramas"), "g": Noun("grama", "gramas"), "mg": Noun("miligrama", "miligramas"),
        "t": Noun("tonelada", "toneladas", "f"),
        "l": Noun("litro", "litros"), "ml": Noun("mililitro", "mililitros"), "h": Noun("hora", "horas", "f"),
        "min": Noun("minuto", "minutos"),
        "s": Noun("segundo", "segundos"), "km/h": Noun("quilômetro por hora", "quilômetros por hora"),
        "m²": Noun("metro quadrado", "metros quadrados"),
        "km²": Noun("quilômetro quadrado", "quilômetros quadrados"), "m³": Noun("metro cúbico", "metros cúbicos"),
        "°C": Noun("grau Celsius", "graus Celsius"),
        "°": Noun("grau", "graus"), "MB": Noun("megabyte", "megabytes"), "GB": Noun("gigabyte", "gigabytes"),
        "TB": Noun("terabyte", "terabytes"),
        "kWh": Noun("quilowatt-hora", "quilowatts-hora"), "kW": Noun("quilowatt", "quilowatts"), "W": Noun("watt", "watts"),
        "V": Noun("volt", "volts"),
        "Hz": Noun("hertz", "hertz"), "GHz": Noun("gigahertz", "gigahertz"),
    },
    currencies={
        "R$": _REAL, "BRL": _REAL, "€": _EURO, "EUR": _EURO, "US$": Money(Noun("dólar", "dólares"), _CENT),
        "$": Money(Noun("dólar", "dólares"), _CENT),
        "£": Money(Noun("libra", "libras", "f"), Noun("centavo", "centavos")), "¥": Money(Noun("iene", "ienes")),
    },
    abbreviations={
        "Sr.": "senhor", "Sra.": "senhora", "Srta.": "senhorita", "Dr.": "doutor", "Dra.": "doutora", "Prof.": "professor",
        "Profa.": "professora",
        "etc.": "etcétera", "p. ex.": "por exemplo", "nº": "número", "n.º": "número", "Nº": "número", "pág.": "página",
        "tel.": "telefone", "Av.": "Avenida",
        "aprox.": "aproximadamente",
    },
    signs={".": "ponto", "@": "arroba", "/": "barra", "-": "hífen", "_": "sublinhado", ":": "dois-pontos"},
    counted=r" (?!(?:de|do|da|e|ou|a|em|com|por|para|que|se|não|sem|mais|menos|é|são)\b)[a-zà-ÿ]{2,}",
    feminine=r" (?!dias?\b|[a-zà-ÿ]{1,20}(?:m|et|ist)as?\b|uma?\b|para\b|cada\b|era\b|da\b)[a-zà-ÿ]{2,20}as?\b",
    month_pattern=r"º? de ", ordinal_pattern=r"\.?([ºª°oa])(?![\wC])",
    clock_pattern=r"(\d{1,2}):([0-5]\d)(?: ?h)?(?![\d:.\w])|(\d{1,2}) ?h ?([0-5]\d)(?!\w)|(\d{1,2}) ?h(?![\w/])",
)  # fmt: skip
