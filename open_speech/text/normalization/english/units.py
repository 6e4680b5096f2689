"""Units of measure: written forms, and their singular and plural. Pure."""

from __future__ import annotations

import re
from typing import NamedTuple

from open_speech.text.numbers_en import number


class Unit(NamedTuple):
    """The words for a unit after `one` and after any other number."""

    one: str
    many: str


def _regular(name: str) -> Unit:
    return Unit(name, f"{name}s")


_LENGTHS = {
    "km": "kilometer", "m": "meter", "cm": "centimeter", "mm": "millimeter", "nm": "nanometer", "µm": "micrometer", "μm": "micrometer",
    "mi": "mile", "yd": "yard", "dm": "decimeter",
}  # fmt: skip
_REGULAR = _LENGTHS | {
    "kg": "kilogram", "g": "gram", "mg": "milligram", "µg": "microgram", "μg": "microgram", "mcg": "microgram", "lb": "pound",
    "lbs": "pound", "oz": "ounce", "l": "liter", "L": "liter", "ml": "milliliter", "mL": "milliliter", "cl": "centiliter",
    "dl": "deciliter", "dL": "deciliter", "gal": "gallon", "pt": "pint", "qt": "quart", "tsp": "teaspoon", "tbsp": "tablespoon",
    "Tbsp": "tablespoon", "fl oz": "fluid ounce", "h": "hour", "hr": "hour", "hrs": "hour", "min": "minute", "mins": "minute",
    "s": "second", "sec": "second", "secs": "second", "ms": "millisecond", "µs": "microsecond", "μs": "microsecond", "ns": "nanosecond",
    "yr": "year", "yrs": "year", "wk": "week", "wks": "week", "mo": "month", "mos": "month", "B": "byte", "kB": "kilobyte",
    "KB": "kilobyte", "MB": "megabyte", "GB": "gigabyte", "TB": "terabyte", "PB": "petabyte", "KiB": "kibibyte", "MiB": "mebibyte",
    "GiB": "gibibyte", "TiB": "tebibyte", "kbit": "kilobit", "Mbit": "megabit", "Gbit": "gigabit", "kb": "kilobit", "Mb": "megabit",
    "Gb": "gigabit", "W": "watt", "kW": "kilowatt", "MW": "megawatt", "GW": "gigawatt", "TW": "terawatt", "mW": "milliwatt",
    "kWh": "kilowatt hour", "Wh": "watt hour", "MWh": "megawatt hour", "GWh": "gigawatt hour", "TWh": "terawatt hour", "V": "volt",
    "kV": "kilovolt", "mV": "millivolt", "mA": "milliamp", "mAh": "milliamp hour", "Ah": "amp hour", "Ω": "ohm", "kΩ": "kilohm",
    "MΩ": "megohm", "dB": "decibel", "cal": "calorie", "kcal": "kilocalorie", "kJ": "kilojoule", "MJ": "megajoule", "kN": "kilonewton",
    "Nm": "newton meter", "bar": "bar", "mbar": "millibar", "Pa": "pascal", "hPa": "hectopascal", "kPa": "kilopascal",
    "MPa": "megapascal", "px": "pixel", "MP": "megapixel", "rpm": "revolution per minute", "ha": "hectare", "ac": "acre",
    "ct": "carat", "mol": "mole", "dpi": "dot per inch", "ppm": "part per million", "ppb": "part per billion", "fps": "frame per second",
    "bpm": "beat per minute", "lm": "lumen", "kt": "knot", "kts": "knot",
}  # fmt: skip
_IRREGULAR = {
    "ft": Unit("foot", "feet"), "Hz": Unit("hertz", "hertz"), "kHz": Unit("kilohertz", "kilohertz"), "MHz": Unit("megahertz", "megahertz"),
    "GHz": Unit("gigahertz", "gigahertz"), "THz": Unit("terahertz", "terahertz"), "%": Unit("percent", "percent"),
    "‰": Unit("per mille", "per mille"), "°": Unit("degree", "degrees"), "º": Unit("degree", "degrees"),
    "psi": Unit("P S I", "P S I"), "hp": Unit("horsepower", "horsepower"), "lx": Unit("lux", "lux"), "K": Unit("kelvin", "kelvin"),
    "mmHg": Unit("millimeter of mercury", "millimeters of mercury"), "pp": Unit("percentage point", "percentage points"),
    "in²": Unit("square inch", "square inches"), "in³": Unit("cubic inch", "cubic inches"), "cc": Unit("c c", "c c"),
    "cu ft": Unit("cubic foot", "cubic feet"), "sq ft": Unit("square foot", "square feet"), "ft²": Unit("square foot", "square feet"),
    "ft³": Unit("cubic foot", "cubic feet"), "sq mi": Unit("square mile", "square miles"), "sq m": Unit("square meter", "square meters"),
    "sq km": Unit("square kilometer", "square kilometers"), "st": Unit("stone", "stone"), "bps": Unit("bit per second", "bits per second"),
}  # fmt: skip
_SPEEDS = {
    "kph": "kilometer per hour", "kmh": "kilometer per hour", "mph": "mile per hour", "kbps": "kilobit per second",
    "Kbps": "kilobit per second", "Mbps": "megabit per second", "Gbps": "gigabit per second", "MBps": "megabyte per second",
    "Tbps": "terabit per second", "mpg": "mile per gallon",
}  # fmt: skip
_DEGREES = {"C": "Celsius", "F": "Fahrenheit"}


def _many(name: str) -> str:
    """Return the plural of a unit's name: kilometers per hour, kilowatt hours, square meters."""
    noun, per, rest = name.partition(" per ")
    return f"{noun}s{per}{rest}"


UNITS: dict[str, Unit] = (
    {key: Unit(name, _many(name)) for key, name in (_REGULAR | _SPEEDS).items()}
    | _IRREGULAR
    | {f"{key}²": _regular(f"square {name}") for key, name in _LENGTHS.items()}
    | {f"{key}³": _regular(f"cubic {name}") for key, name in _LENGTHS.items()}
    | {f"{sign}{key}": Unit(f"degree {name}", f"degrees {name}") for key, name in _DEGREES.items() for sign in ("°", "º", "° ", "º ")}
    | {"℃": Unit("degree Celsius", "degrees Celsius"), "℉": Unit("degree Fahrenheit", "degrees Fahrenheit")}
)
"""Written form -> words."""
ATTACHED_ONLY = {"in": Unit("inch", "inches")}
"""Units that are also words: they count only next to the number, or with a full stop that does not end the sentence."""
_PER = {
    "mo": "month", "yr": "year", "y": "year", "wk": "week", "w": "week", "d": "day", "hr": "hour", "h": "hour", "s": "second",
    "sec": "second", "min": "minute", "ea": "each", "pp": "person", "gal": "gallon", "in": "inch", "sq ft": "square foot",
    "s²": "second squared",
    "s^2": "second squared", "bbl": "barrel", "req": "request",
}  # fmt: skip
_WORDS_ALONE = 2
"""Minimum letters of a word after a slash that is not a known unit: `3/day`."""


def _keys(units: dict[str, Unit]) -> str:
    return "|".join(re.escape(key) for key in sorted(units, key=len, reverse=True))


_PLAIN_POWERS = "|".join(f"{key}\\^?[23]" for key in sorted(_LENGTHS, key=len, reverse=True)) + r"|ft\^?[23]|in\^[23]"
_APART_ONLY = {"B", "K", "st"}
"""Units that have another meaning directly after the number: `7B`, `4K`, `1st`."""
_UNIT = re.compile(rf"(?P<joint>[ \u00a0]?|-)(?P<unit>{_PLAIN_POWERS}|{_keys(UNITS)})(?![^\W_]|[²³°^])")
_DOT = re.compile(r"\.(?=,| [a-z0-9])")
"""The full stop of an abbreviation within a sentence: `16 oz. of`."""
_INCHES = re.compile(r"(?P<joint>)(?P<unit>in)(?![^\W_])|(?P<dot>[ \u00a0]?in)\.(?=,| [a-z0-9(])")
_PER_WHAT = re.compile(r"/ ?(?P<count>\d{1,4} )?(?P<unit>s²|s\^2|sq ft|(?:m|km|cm)[²³]|[A-Za-zµμ]{1,14})(?![^\W_]|[/.@-]\w)")


class Measured(NamedTuple):
    """A unit after a number, and the position where it ends; `adjective` means that a hyphen precedes it (`a 5-km run`)."""

    unit: Unit
    adjective: bool
    end: int


def unit_at(text: str, at: int) -> Measured | None:
    """Read the unit directly after a number, with its denominator: `kg`, `km/h`, `m/s²`, `mg/dL`."""
    found = _UNIT.match(text, at)
    if found and not (not found["joint"] and found["unit"] in _APART_ONLY):
        unit, adjective, end = UNITS[_canonical(found["unit"])], found["joint"] == "-", found.end()
        if dot := _DOT.match(text, end):
            end = dot.end()
    elif inches := _INCHES.match(text, at):
        unit, adjective, end = ATTACHED_ONLY["in"], False, inches.end()
    else:
        return None
    return Measured(unit, adjective, end) if (by := per_at(text, end)) is None else Measured(_by(unit, by[0]), adjective, by[1])


def per_at(text: str, at: int) -> tuple[str, int] | None:
    """Read a slash and a denominator: `/kg`, `/month`; the words begin with `per` (or `each`)."""
    found = _PER_WHAT.match(text, at)
    if not found:
        return None
    written = found["unit"]
    count = f"{number(found['count'].strip())} " if found["count"] else ""
    if count and written not in UNITS:
        return None
    name = _PER.get(written) or ((UNITS[written].many if count else UNITS[written].one) if written in UNITS else written)
    if len(written) < _WORDS_ALONE and written not in _PER and written not in UNITS:
        return None
    return (name if name == "each" else f"per {count}{name}", found.end())


def _canonical(written: str) -> str:
    if written in UNITS:
        return written
    return written.replace("^", "").translate({ord("2"): "²", ord("3"): "³"})


def _by(unit: Unit, per: str) -> Unit:
    return Unit(f"{unit.one} {per}", f"{unit.many} {per}")
