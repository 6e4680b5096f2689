"""What the rules for the languages of Western Europe need to know of one language. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

MASCULINE, FEMININE = "m", "f"


class Noun(NamedTuple):
    """What is counted: the words for one and for many, and the gender that the number takes."""

    one: str
    many: str
    gender: str = MASCULINE


class Money(NamedTuple):
    """A currency and its hundredth part."""

    whole: Noun
    part: Noun | None = None


@dataclass(frozen=True)
class Language:
    """The words and habits of one language."""

    cardinal: Callable[[int, str, bool], str]
    """A whole number from 0, the gender of what is counted, and whether that follows -> words."""
    ordinal: Callable[[int, str, str], str]
    """A number from 1, a gender and the word before it -> words."""
    year: Callable[[int], str]
    date: Callable[[int, int, str, str], str]
    """Day, month, words of the year or empty, the word before -> words."""
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
    """Between a million and what is counted; empty where there is nothing."""
    magnitudes: Mapping[str, tuple[Noun, int]]
    """Written form -> words and the number of zeros."""
    units: Mapping[str, Noun]
    currencies: Mapping[str, Money]
    abbreviations: Mapping[str, str]
    """Written with its full stop -> words."""
    signs: Mapping[str, str]
    """Names of the signs in addresses."""
    month_pattern: str
    """Between a day and the name of its month, such as ` de `."""
    ordinal_pattern: str
    """What follows the digits of an ordinal number: the first group names its gender when it is `a` or `ª`."""
    clock_pattern: str
    """A time of day: groups hours and minutes."""
    elisions: tuple[tuple[str, str], ...] = ()
    """Patterns in what is said, and what they become before a vowel."""
    counted: str = r"(?!)"
    """What stands after a number that counts it, where that changes the number."""
    feminine: str = r"(?!)"
    """The same, where it is feminine."""
