"""Abbreviations, and words that contain signs. Pure."""

from __future__ import annotations

import re

from open_speech.text.normalization.grammar import SpokenForm, matching, stop_of

_TITLES = {
    "Dr": "Doctor", "Mr": "Mister", "Mrs": "Missus", "Ms": "Miz", "Prof": "Professor", "Capt": "Captain", "Gen": "General",
    "Sgt": "Sergeant", "Lt": "Lieutenant", "Col": "Colonel", "Rev": "Reverend", "Hon": "Honorable", "Gov": "Governor", "Sen": "Senator",
    "Rep": "Representative", "St": "Saint", "Mt": "Mount", "Ft": "Fort", "Pres": "President", "Maj": "Major", "Cpl": "Corporal",
    "Messrs": "Messieurs", "Fr": "Father", "Sr": "Sister", "Supt": "Superintendent", "Cmdr": "Commander", "Adm": "Admiral",
}  # fmt: skip
"""Abbreviated titles before a name."""
_SHORT = {
    "vs": "versus", "etc": "et cetera", "e.g": "for example", "i.e": "that is", "approx": "approximately", "Jr": "Junior", "Sr": "Senior",
    "Inc": "Incorporated", "Ltd": "Limited", "Corp": "Corporation", "Ave": "Avenue", "Blvd": "Boulevard", "Rd": "Road", "Co": "Company",
    "Dept": "Department", "dept": "department", "est": "estimated", "Vol": "Volume", "vol": "volume", "Bros": "Brothers",
    "Fig": "Figure", "fig": "figure", "St": "Street", "Dr": "Drive", "Ln": "Lane", "Hwy": "Highway", "Pkwy": "Parkway", "Sq": "Square",
    "Ct": "Court", "Pl": "Place", "Ter": "Terrace", "Apt": "Apartment", "Ste": "Suite", "al": "al", "cf": "compare", "viz": "namely",
    "avg": "average", "max": "maximum", "min": "minimum", "incl": "including", "excl": "excluding", "govt": "government",
    "Govt": "Government",
    "Assn": "Association", "Univ": "University", "Intl": "International", "misc": "miscellaneous", "temp": "temperature",
    "tel": "telephone",
    "Tel": "Telephone", "ca": "circa", "dist": "district", "ed": "edition", "ext": "extension", "Ext": "Extension", "hr": "hour",
    "hrs": "hours", "mins": "minutes", "secs": "seconds", "yrs": "years", "Attn": "Attention", "Mfg": "Manufacturing",
    "Bldg": "Building", "Rm": "Room",
}  # fmt: skip
_INITIALS = {
    "Ph.D": "P H D",
    "M.D": "M D",
    "B.A": "B A",
    "M.A": "M A",
    "B.Sc": "B S C",
    "M.Sc": "M S C",
    "a.k.a": "also known as",
    "U.S.A": "U S A",
    "U.S": "U S",
    "U.K": "U K",
    "U.N": "U N",
    "E.U": "E U",
    "D.C": "D C",
    "P.S": "P S",
    "P.O": "P O",
    "R.I.P": "R I P",
    "a.m": "AM",
    "p.m": "PM",
    "w.r.t": "with respect to",
}
_WITH_SIGNS = {
    "and/or": "and or", "he/she": "he or she", "she/he": "she or he", "his/her": "his or her", "him/her": "him or her", "s/he": "he or she",
    "w/o": "without", "w/": "with", "c/o": "care of", "n/a": "not applicable", "N/A": "not applicable", "C++": "C plus plus",
    "C#": "C sharp", "F#": "F sharp",
    "AT&T": "A T and T", "TCP/IP": "T C P I P", "I/O": "I O", "A/B": "A B", "Q&A": "Q and A", "R&D": "R and D", "A/C": "A C",
    "yes/no": "yes or no",
    "Wi-Fi": "Wi-Fi", "i++": "i plus plus", "g++": "G plus plus", "Notepad++": "Notepad plus plus", "A+": "A plus", "B+": "B plus",
    "C+": "C plus", "D+": "D plus", "A-": "A minus", "B-": "B minus", "C-": "C minus",
    "B&B": "B and B", "M&A": "M and A", "P&L": "P and L", "H&M": "H and M", "M&M": "M and M", "Disney+": "Disney plus",
    "Google+": "Google plus", "LGBTQ+": "L G B T Q plus",
}  # fmt: skip


def _keys(words: dict[str, str]) -> str:
    return "|".join(re.escape(word) for word in sorted(words, key=len, reverse=True))


TITLE = matching(rf"({_keys(_TITLES)})\. (?=[A-Z]|and [A-Z])", lambda found: _title(found))
BRITISH_TITLE = matching(r"(Mr|Mrs|Ms|Dr) (?=[A-Z][a-z])", lambda found: f"{_TITLES[found[1]]} ")
_HOUSE = re.compile(r"(?:\d{1,6}|[A-Z][a-z]+|\d(?:st|nd|rd|th)) $")
_HOUSE_NUMBER = re.compile(r"\d{1,6}(?:[A-Z]|st|nd|rd|th)? (?:[NSEW]\. )?(?:[A-Z][a-z]+ ){0,2}$")
_ROADS = {"St", "Dr", "Ct", "Pl", "Sq", "Ter", "Ln"}


def _title(found: re.Match[str]) -> str | None:
    """Read a title before a name; `123 Main St. Springfield` is a street, although a name follows."""
    before = found.string[max(0, found.start() - 40) : found.start()]
    if found[1] in _ROADS and _HOUSE_NUMBER.search(before):
        return f"{_SHORT[found[1]]} "
    if found[1] == "Sr" and _HOUSE.search(before):
        return None
    return f"{_TITLES[found[1]]} "


SHORT = matching(rf"({_keys(_SHORT)})\.(?!\w)", lambda found: _short(found))
_ORDINARY = frozenset({"al", "ed", "est", "max", "min", "temp", "dist", "ca", "Pl", "Co", "Ste", "hr", "Ct"})
"""Abbreviations that are also words or names: they are not changed before a full stop that ends a sentence."""


def _short(found: re.Match[str]) -> str | None:
    stop = stop_of(found)
    if found[1] in _ORDINARY and (stop or re.match(r" [A-Z]", found.string[found.end() : found.end() + 2])) and found[1] not in ("Co",):
        return None
    return _SHORT[found[1]] + stop


INITIALS = matching(rf"({_keys(_INITIALS)})\.?(?!\w)", lambda found: _INITIALS[found[1]] + stop_of(found) if "." in found[0] else None)
_STREETS = {
    "St": "Street",
    "Ave": "Avenue",
    "Rd": "Road",
    "Blvd": "Boulevard",
    "Ln": "Lane",
    "Dr": "Drive",
    "Ct": "Court",
    "Pl": "Place",
    "Sq": "Square",
}


def _street(found: re.Match[str]) -> str | None:
    before = found.string[max(0, found.start() - 40) : found.start()]
    return _STREETS[found[1]] if _HOUSE_NUMBER.search(before) else None


STREET = matching(rf"({_keys(_STREETS)})(?!\w|\.\w|\. [A-Z])", _street)
WITH_SIGNS = matching(rf"({_keys(_WITH_SIGNS)})(?![\w+]|/)", lambda found: _signed(found))


def _signed(found: re.Match[str]) -> str | None:
    # `Vitamin A-` and `a B-movie` are not grades: grades precede a space or punctuation.
    follows = found.string[found.end() : found.end() + 1]
    return _WITH_SIGNS[found[1]] if not found[1].endswith("-") or follows in ("", " ", ",", ".", ";", ")") else None


WITH_SLASH = matching(r"(w/o|w/|c/o) ?(?=[A-Za-z])", lambda found: f"{_WITH_SIGNS[found[1]]} ")
_PERIODS = {"s": "second", "sec": "second", "min": "minute", "h": "hour", "hr": "hour"}
PER = matching(
    r"([A-Za-z]{2,20})/(s|sec|min|h|hr|hour|day|week|month|year)(?!\w|/)",
    lambda found: f"{found[1]} per {_PERIODS.get(found[2], found[2])}",
)
SNAKE = matching(r"_?[A-Za-z][A-Za-z0-9]{0,40}(?:_[A-Za-z0-9]{1,40}){1,10}(?:\(\))?(?!\w)", lambda found: _snake(found[0]))


def _snake(written: str) -> str:
    return " ".join(written.removesuffix("()").replace("_", " underscore ").split())


def long_run(text: str, at: int) -> SpokenForm | None:
    """Read initials with dots, such as `U.S.A.`, as letters."""
    found = _DOTTED.match(text, at)
    if not found or len(found[0]) < 4:  # noqa: PLR2004 - two letters and their dots
        return None
    stop = "." if found[0].endswith(".") and not text[found.end() :].strip() else ""
    return SpokenForm(" ".join(found[0].replace(".", "")) + stop, found.end())


_DOTTED = re.compile(r"(?:[A-Z]\.){2,6}(?!\w)")
