"""The data of one language for the rules of the languages of Western Europe. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

MASCULINE, FEMININE = "m", "f"


class Noun(NamedTuple):
    """A counted noun: its singular, its plural, and its gender."""

    one: str
    many: str
    gender: str = MASCULINE


class Money(NamedTuple):
    """A currency and its hundredth part."""

    whole: Noun
    part: Noun | None = None


@dataclass(frozen=True)
class Language:
    """The words and patterns of one language."""

    cardinal: Callable[[int, str, bool], str]
    """A whole number from 0, the gender of the counted noun, and whether the noun follows -> words."""
    ordinal: Callable[[int, str, str], str]
    """A number from 1, a gender and the word before it -> words."""
    year: Callable[[int], str]
    date: Callable[[int, int, str, str], str]
    """Day, month, words of the year (or empty), the word before -> words."""
    clock: Callable[[int, int], str]
    money: Callable[[str, str], str]
    """Words for the whole and for the part -> words for both."""
    months: Mapping[str, int]
    """Names and abbreviations in lower case -> 1 to 12."""
    point: str
    minus: str
    plus: str
    to: str
    equals: str
    both: str
    """The word for `&`."""
    percent: str
    of: str
    """The word between a million and the counted noun; empty if there is none."""
    magnitudes: Mapping[str, tuple[Noun, int]]
    """Written form -> words and the number of zeros."""
    units: Mapping[str, Noun]
    currencies: Mapping[str, Money]
    abbreviations: Mapping[str, str]
    """Abbreviation with its full stop -> words."""
    signs: Mapping[str, str]
    """Names of the signs in addresses."""
    month_pattern: str
    """The text between a day and the name of its month, such as ` de `."""
    ordinal_pattern: str
    """The text after the digits of an ordinal number; `a` or `ª` in the first group makes it feminine."""
    clock_pattern: str
    """A time of day, with groups for hours and minutes."""
    elisions: tuple[tuple[str, str], ...] = ()
    """Patterns in the spoken words, and their replacements before a vowel."""
    counted: str = r"(?!)"
    """The text after a number that counts a noun, if the noun changes the number."""
    feminine: str = r"(?!)"
    """As `counted`, for feminine nouns."""
