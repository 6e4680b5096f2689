"""English text normalization: written form -> spoken form. Pure.

The rules are in the order in which they are tried at a position: longer or more certain forms before shorter or more general ones. Each
module contains the rules for one kind of written form.
"""

from __future__ import annotations

import functools

from open_speech.text.normalization.english import addresses, codes, dates, formulas, numbers, places, romans, signs, sizes, times, words
from open_speech.text.normalization.english.addresses import address
from open_speech.text.normalization.english.amounts import read_amount
from open_speech.text.normalization.grammar import Grammar

__all__ = ["address", "grammar", "rewrite"]


@functools.cache
def grammar(*, day_first: bool) -> Grammar:
    """Return the rules for a region: whether `07/04/2026` begins with the day, or with the month as in the United States."""
    digits = (
        addresses.MAIL, addresses.WEB, addresses.FILE,
        dates.numeric(day_first=day_first),
        codes.CARD, codes.SOCIAL, codes.VANITY, codes.AMERICAN, codes.WITH_ZERO,
        codes.IP, codes.IPV6, codes.HEX, places.NUMBERED_VERSE, codes.VERSION, codes.PRERELEASE,
        dates.DAY_MONTH, times.NAMED_RATIO, times.SHARED_HALF, times.CLOCK, times.HOURS_MINUTES, times.LENGTH,
        times.RATIO,
        codes.LOCAL, codes.EMERGENCY,
        dates.ERA, dates.YEAR_SPAN, dates.DECADES, dates.BARE_DECADE, dates.slash_day(day_first=day_first),
        sizes.HEIGHT, sizes.COORDINATE, sizes.PRESSURE, sizes.size, formulas.SCIENTIFIC, formulas.formula,
        formulas.POWER,
        formulas.GREEK, numbers.place,
        sizes.TIMES_SPAN, sizes.TIMES, sizes.PART_INCHES, sizes.PER, read_amount, sizes.INCHES, sizes.FEET,
        sizes.TRIPLE, sizes.RATING, sizes.FRACTION,
        dates.YEAR, numbers.chain, numbers.lettered, numbers.plain,
    )  # fmt: skip
    letters = (
        addresses.MAIL, addresses.WEB, addresses.FILE, addresses.PATH,
        dates.MONTH_SPAN, dates.NAMED, dates.DAYS, dates.QUARTER, dates.FISCAL, dates.AD, dates.MONTH_SHORT,
        places.VERSE, codes.ISBN, codes.CVE, codes.CODE_POINT, codes.UBUNTU, codes.NAMED_VERSION, codes.V_VERSION, places.ZIP,
        places.POSTCODE, places.ROOM, romans.COUNTED, places.NUMBERED,
        places.ROAD, codes.IPV6, times.ZONE,
        romans.RULER, romans.GENERATION, romans.CENTURY, romans.long_year,
        words.WITH_SIGNS, words.WITH_SLASH, words.TITLE, words.BRITISH_TITLE, words.INITIALS, words.SHORT,
        words.STREET, words.PER,
        read_amount, formulas.formula, formulas.POWER, formulas.SUBSCRIPT, formulas.WORD_POWER, formulas.GREEK,
        words.SNAKE, words.long_run,
    )  # fmt: skip
    others = (
        codes.INTERNATIONAL, codes.AMERICAN, codes.WITH_ZERO, addresses.PATH, addresses.HASHTAG, addresses.NUMBER_SIGN,
        addresses.HANDLE, addresses.DOTFILE,
        dates.BARE_DECADE, dates.SHORT_YEAR, formulas.ROOT, formulas.formula, read_amount, formulas.GREEK, words.SNAKE,
        signs.VARIABLE, signs.FLAG, signs.CALL, signs.PLUS_AFTER, signs.DECIMAL, signs.BETWEEN, signs.ALWAYS,
    )  # fmt: skip
    return Grammar(digits=digits, letters=letters, signs=others)


def rewrite(text: str, *, day_first: bool) -> str:
    """Return the spoken form of an English text."""
    return grammar(day_first=day_first).rewrite(text)
