"""Roman numerals, if the word before or after indicates that they are numbers. Pure."""

from __future__ import annotations

import re

from open_speech.text.normalization.grammar import SpokenForm, matching
from open_speech.text.numbers_en import cardinal, ordinal, year

_VALUES = {"I": 1, "V": 5, "X": 10, "L": 50, "C": 100, "D": 500, "M": 1000}
_ROMAN = r"M{0,3}(?:CM|CD|D?C{0,3})(?:XC|XL|L?X{0,3})(?:IX|IV|V?I{0,3})"
_SMALL = r"(?=[IVXL])(?:XC|XL|L?X{0,3})(?:IX|IV|V?I{0,3})(?![\w'’]|\.\w)"
_COUNTED = (
    "World War|Chapter|chapter|Part|part|Act|act|Scene|scene|Volume|volume|Vol\\.|Book|book|Section|section|Article|article"
    "|Type|type|Phase|phase|Stage|stage|Grade|Level|Class|Title|Appendix|Figure|Table|Super Bowl|Episode|Season|Rocky|Rambo"
    "|Godfather|Godfather Part|Apollo|Saturn|Final Fantasy|Grand Theft Auto|Star Wars|Star Wars Episode|Civilization"
    "|Street Fighter|Mark|Vatican|Factor|Schedule|Amendment|Tier|tier|Track|Lesson|Unit|Canto|canto|Symphony No\\.|Group"
    "|Division|Quadrant|Roman numeral"
)
_RULERS = (
    "Henry|Louis|Edward|George|William|Charles|James|Richard|Elizabeth|Mary|Catherine|Katherine|Philip|Alexander|Nicholas"
    "|Frederick|Friedrich|Wilhelm|Napoleon|Pius|John|Paul|John Paul|Benedict|Leo|Gregory|Clement|Innocent|Urban|Francis|Franz"
    "|Ferdinand|Joseph|Alfonso|Carlos|Felipe|Juan Carlos|Ivan|Peter|Gustav|Christian|Haakon|Olav|Margrethe|Ramses|Ramesses"
    "|Ptolemy|Darius|Xerxes|Cyrus|Mehmed|Selim|Suleiman|Murad|Rama|Victor Emmanuel|Umberto|Otto|Leopold|Albert|Baldwin|Robert"
    "|David|Malcolm"
)
_SINGLE = frozenset("VXLI")
_TITLED = re.compile(r"(?:King|Queen|Pope|Emperor|Empress|Tsar|Czar|Prince|Saint|St\.|Sultan|Pharaoh|Kaiser) $")


def roman(written: str) -> int:
    """Return the value of a Roman numeral."""
    total = 0
    for letter, following in zip(written, [*written[1:], ""], strict=True):
        own = _VALUES[letter]
        total += -own if following and own < _VALUES[following] else own
    return total


def _counted(found: re.Match[str]) -> str:
    number = cardinal(str(roman(found[2])))
    if found[1].startswith("World War"):
        number = number.title()
    words = f"{found[1].replace('Vol.', 'Volume').replace('No.', 'number')} {number}"
    return f"{words} to {cardinal(str(roman(found[3])))}" if found[3] else words


COUNTED = matching(rf"((?:{_COUNTED})s?) ({_SMALL})(?:[-–]({_SMALL}))?", _counted)


def _ruler(found: re.Match[str]) -> str | None:
    name, numeral = found[1], found[2]
    if numeral in _SINGLE and not _TITLED.search(found.string[max(0, found.start() - 12) : found.start()]):
        after = found.string[found.end() : found.end() + 2]
        if numeral != "V" or name in ("Malcolm", "David", "Robert", "Mary") or after.startswith("."):
            return None
    return f"{name} the {ordinal(str(roman(numeral))).title()}"


RULER = matching(rf"((?:{_RULERS})) ({_SMALL})", _ruler)
GENERATION = matching(r"([A-Z][a-z]{2,20}) (III|IV|II)(?![\w'’])", lambda found: f"{found[1]} the {ordinal(str(roman(found[2]))).title()}")
CENTURY = matching(
    r"([IVX]{1,6})(?:th|st|nd|rd)?(?= (?:century|centuries|Century|Olympiad|Congress|Legion|Corps))",
    lambda found: ordinal(str(roman(found[1]))) if re.fullmatch(_ROMAN, found[1]) else None,
)
_LONG = re.compile(rf"(?=M[MDCLXVI]{{3,11}}(?!\w)){_ROMAN}(?!\w)")


def long_year(text: str, at: int) -> SpokenForm | None:
    """Read a year in Roman numerals: `MCMLXXXIV`."""
    found = _LONG.match(text, at)
    if not found:
        return None
    return SpokenForm(year(str(roman(found[0]))), found.end())
