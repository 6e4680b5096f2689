"""Postal codes, rooms and roads, and references to pages, chapters and verses. Pure."""

from __future__ import annotations

import re

from open_speech.text.normalization.english.codes import hexadecimal
from open_speech.text.normalization.english.numbers import pairs
from open_speech.text.normalization.grammar import matching
from open_speech.text.numbers_en import cardinal, ordinal, spelled

_STATES = (
    "AL Alabama|AK Alaska|AZ Arizona|AR Arkansas|CA California|CO Colorado|CT Connecticut|DE Delaware|FL Florida|GA Georgia"
    "|HI Hawaii|ID Idaho|IL Illinois|IN Indiana|IA Iowa|KS Kansas|KY Kentucky|LA Louisiana|ME Maine|MD Maryland|MA Massachusetts"
    "|MI Michigan|MN Minnesota|MS Mississippi|MO Missouri|MT Montana|NE Nebraska|NV Nevada|NH New Hampshire|NJ New Jersey"
    "|NM New Mexico|NY New York|NC North Carolina|ND North Dakota|OH Ohio|OK Oklahoma|OR Oregon|PA Pennsylvania|RI Rhode Island"
    "|SC South Carolina|SD South Dakota|TN Tennessee|TX Texas|UT Utah|VT Vermont|VA Virginia|WA Washington|WV West Virginia"
    "|WI Wisconsin|WY Wyoming|DC D C"
)
STATES = {state[:2]: state[3:] for state in _STATES.split("|")}
"""Postal code of a state of the US -> its name."""


def _zip(found: re.Match[str]) -> str:
    return f"{STATES[found[1]]}, {spelled(found[2])}" + (f", {spelled(found[3])}" if found[3] else "")


ZIP = matching(rf"({'|'.join(STATES)}),? (\d{{5}})(?:-(\d{{4}}))?(?![\w-])", _zip)
POSTCODE = matching(r"([A-Z]{1,2}\d[A-Z\d]?) (\d[ABD-HJLNP-UW-Z]{2})(?![\w-])", lambda found: ", ".join(map(hexadecimal, found.groups())))
_ROOMS = "Room|Rm\\.|Route|Rte\\.|Highway|Hwy\\.?|Interstate|Flight|Suite|Ste\\.|Apartment|Apt\\.|Unit|Channel|Gate|Bus|Area"
_LONG_ROOMS = {"Rm.": "Room", "Rte.": "Route", "Hwy": "Highway", "Hwy.": "Highway", "Ste.": "Suite", "Apt.": "Apartment"}
ROOM = matching(
    rf"({_ROOMS}) #?(\d{{1,4}})([A-Z])?(?![\w]|[.,:-]\d)",
    lambda found: f"{_LONG_ROOMS.get(found[1], found[1])} {pairs(found[2])}{f' {found[3]}' if found[3] else ''}",
)
_NUMBERED = {
    "p": "page", "pp": "pages", "no": "number", "nos": "numbers", "nr": "number", "vol": "volume", "ch": "chapter", "fig": "figure",
    "figs": "figures", "sec": "section", "art": "article", "eq": "equation", "ex": "example", "tab": "table", "ver": "version",
    "rev": "revision", "vv": "verses", "ext": "extension", "pt": "part", "ep": "episode",
}  # fmt: skip


def _numbered(found: re.Match[str]) -> str:
    name = _NUMBERED[found[1].lower()]
    return f"{name.capitalize() if found[1][0].isupper() and not name.startswith('number') else name} "


NUMBERED = matching(
    rf"({'|'.join(f'[{key[0]}{key[0].upper()}]{key[1:]}' for key in sorted(_NUMBERED, key=len, reverse=True))})\. ?(?=\d)", _numbered
)
"""`p. 5`, `Vol. 3`, `No. 2`."""
ROAD = matching(r"(I|US|A|M|B|E)-(\d{1,3})(?![\w-]|[.,]\d)", lambda found: f"{' '.join(found[1])} {pairs(found[2])}")
"""`I-95`, and aircraft such as `B-52`."""
_BOOKS = (
    "Genesis|Exodus|Leviticus|Numbers|Deuteronomy|Joshua|Judges|Ruth|Samuel|Kings|Chronicles|Ezra|Nehemiah|Esther|Job|Psalms?|Proverbs"
    "|Ecclesiastes|Isaiah|Jeremiah|Lamentations|Ezekiel|Daniel|Hosea|Joel|Amos|Obadiah|Jonah|Micah|Nahum|Habakkuk|Zephaniah|Haggai"
    "|Zechariah|Malachi|Matthew|Mark|Luke|John|Acts|Romans|Corinthians|Galatians|Ephesians|Philippians|Colossians|Thessalonians|Timothy"
    "|Titus|Philemon|Hebrews|James|Peter|Jude|Revelation|Quran|Qur'an|Surah"
)
_SHORT_BOOKS = {
    "Gen": "Genesis", "Ex": "Exodus", "Deut": "Deuteronomy", "Ps": "Psalm", "Prov": "Proverbs", "Isa": "Isaiah", "Matt": "Matthew",
    "Rom": "Romans", "Cor": "Corinthians", "Gal": "Galatians", "Eph": "Ephesians", "Phil": "Philippians", "Col": "Colossians",
    "Heb": "Hebrews", "Rev": "Revelation", "Sam": "Samuel", "Chr": "Chronicles", "Chron": "Chronicles", "Thess": "Thessalonians",
    "Tim": "Timothy", "Pet": "Peter", "Jn": "John", "Mk": "Mark", "Lk": "Luke", "Mt": "Matthew", "Jas": "James", "Ezek": "Ezekiel",
    "Jer": "Jeremiah",
}  # fmt: skip
_VERSE = (
    rf"(?P<book>{_BOOKS}|{'|'.join(_SHORT_BOOKS)})\.? (?P<chapter>\d{{1,3}}):(?P<verse>\d{{1,3}})"
    r"(?:[-–](?P<last>\d{1,3})(?::(?P<deeper>\d{1,3}))?)?(?!\w|:\d| ?[ap]\.?m)"
)


def _verse(found: re.Match[str]) -> str:
    book = _SHORT_BOOKS.get(found["book"], found["book"])
    words = f"{book} {cardinal(found['chapter'])} {cardinal(found['verse'])}"
    last = f" to {cardinal(found['last'])}" if found["last"] else ""
    return words + last + (f" {cardinal(found['deeper'])}" if found["deeper"] else "")


VERSE = matching(_VERSE, _verse)
NUMBERED_VERSE = matching(
    rf"([123]) (?=Sam|Kings|Chr|Cor|Thess|Tim|Pet|John|Jn){_VERSE}", lambda found: f"{ordinal(found[1]).title()} {_verse(found)}"
)
"""`1 Corinthians 13:4`."""
