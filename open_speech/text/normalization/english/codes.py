"""Digits that are identifiers and not quantities: telephone numbers, network addresses, versions, ISBNs. Pure."""

from __future__ import annotations

import re

from open_speech.text.normalization.grammar import matching, word_before
from open_speech.text.numbers_en import cardinal, spelled

_GROUP = re.compile(r"\d+")
_CALLS = frozenset("call phone telephone tel dial text fax contact ring mobile cell number at sms whatsapp hotline".split())
_EMERGENCY = frozenset("911 999 112 000 411 311 988 101 111".split())
_FEWEST_DIGITS, _MOST_DIGITS = 7, 15
_OCTET = 255
_COLONS_OF_A_MAC = 5


def grouped(written: str) -> str:
    """Return the words of digits one by one, with a pause between their groups."""
    return ", ".join(spelled(group) for group in _GROUP.findall(written))


def hexadecimal(part: str) -> str:
    """Return the words of digits and letters one by one."""
    return " ".join(spelled(char) if char.isdigit() else char.upper() for char in part)


def _phone(found: re.Match[str]) -> str | None:
    groups = _GROUP.findall(found["number"])
    if not _FEWEST_DIGITS <= sum(map(len, groups)) <= _MOST_DIGITS:
        return None
    words = f"{'plus ' if found[0].startswith('+') else ''}{grouped(found['number'])}"
    return f"{words}, extension {spelled(found['ext'])}" if found["ext"] else words


_EXTENSION = r"(?:,? ?(?:ext\.?|x) ?(?P<ext>\d{1,6}))?(?![\w%°€£$]|[.,]\d|-\d)"
INTERNATIONAL = matching(rf"(?P<number>\+\d{{1,3}}(?:[ .-]?(?:\(\d{{1,4}}\)|\d{{1,10}})){{1,6}}){_EXTENSION}", _phone)
AMERICAN = matching(rf"(?P<number>(?:1[ .-])?(?:\(\d{{3}}\) ?|\d{{3}}[-. ])\d{{3}}[-. ]\d{{4}}){_EXTENSION}", _phone)
WITH_ZERO = matching(rf"(?P<number>(?:\(0\d{{1,5}}\)|0\d{{1,5}})(?:[ /-]\d{{2,8}}){{1,5}}|0\d{{8,11}}){_EXTENSION}", _phone)
"""`020 7946 0958`, `01 23 45 67 89`, `030/1234567`."""


def _local(found: re.Match[str]) -> str | None:
    low, high = int(found[1]), int(found[2])
    called = word_before(found.string, found.start()).lower() in _CALLS
    return grouped(found[0]) if called or low % 10 or high % 10 else None


LOCAL = matching(r"(\d{3})[-‑](\d{4})(?![\w%°€£$]|[.,]\d|[-–]\d| ?(?:kg|g|mg|km|m|mm|ml|lbs?)\b)", _local)
"""`555-1234`; two round numbers are a range, unless a word such as `call` precedes them."""


def _vanity(part: str) -> str:
    if part.isdigit():
        return spelled(part)
    return part.title() if len(part) > 4 else part  # noqa: PLR2004 - a longer one is a word


VANITY = matching(r"1-8\d\d-[A-Z0-9-]{5,12}(?![\w-])", lambda found: ", ".join(map(_vanity, found[0].split("-"))))


def _emergency(found: re.Match[str]) -> str | None:
    called = word_before(found.string, found.start()).lower() in ("call", "dial", "ring")
    return spelled(found[0]) if called and found[0] in _EMERGENCY else None


EMERGENCY = matching(r"\d{3}(?!\w|[.,-]\d)", _emergency)
CARD = matching(r"\d{4}[ -]\d{4}[ -]\d{4}[ -]\d{4}(?![\w]|[ -]\d)", lambda found: grouped(found[0]))
SOCIAL = matching(r"\d{3}-\d{2}-\d{4}(?![\w-])", lambda found: grouped(found[0]))


def _port(digits: str) -> str:
    return cardinal(digits) if len(digits) <= 2 else spelled(digits)  # noqa: PLR2004 - as people say it


def _ip(found: re.Match[str]) -> str | None:
    octets = found[1].split(".")
    if any(int(octet) > _OCTET for octet in octets):
        return None
    words = " dot ".join(spelled(octet) for octet in octets)
    return words + (f" colon {_port(found[2])}" if found[2] else "") + (f" slash {cardinal(found[3])}" if found[3] else "")


IP = matching(r"(\d{1,3}(?:\.\d{1,3}){3})(?::(\d{1,5}))?(?:/(\d{1,2}))?(?!\w|\.\d)", _ip)


def _colons(found: re.Match[str]) -> str | None:
    if "::" not in found[0] and found[0].count(":") < _COLONS_OF_A_MAC:
        return None
    return " ".join(" colon ".join(hexadecimal(part) for part in found[0].split(":")).split())


IPV6 = matching(
    r"(?=[\da-fA-F:]{0,40}\d)(?:[\da-fA-F]{1,4}:){2,7}(?:[\da-fA-F]{1,4}|:[\da-fA-F]{1,4}(?::[\da-fA-F]{1,4}){0,5})(?![\w:])", _colons
)
"""IPv6 and MAC addresses."""
HEX = matching(r"0x([\da-fA-F]{1,16})(?!\w)", lambda found: f"hex {hexadecimal(found[1])}")
CODE_POINT = matching(r"U\+([\dA-F]{4,6})(?!\w)", lambda found: f"U plus {hexadecimal(found[1])}")
_SUFFIX = r"(?:-(alpha|beta|rc|dev|pre|post|preview|snapshot|SNAPSHOT)[.-]?(\d{1,4})?)?"


def _version(numbers: str, kind: str | None, count: str | None) -> str:
    points = " point ".join("x" if part in "xX*" else cardinal(part) for part in numbers.split("."))
    named = f" {'R C' if kind == 'rc' else kind.lower()}" if kind else ""
    return points + named + (f" {cardinal(count)}" if count else "")


def _whole_version(found: re.Match[str]) -> str:
    return _version(found[1], found[2], found[3])


VERSION = matching(
    rf"(\d{{1,9}}(?:\.\d{{1,9}}){{2,4}}(?:\.[xX*])?|\d{{1,4}}(?:\.\d{{1,4}})?\.x){_SUFFIX}(?!\w|\.\d| ?[€$£])", _whole_version
)
PRERELEASE = matching(r"(\d{1,4}(?:\.\d{1,4}){0,3})-(alpha|beta|rc)[.-]?(\d{1,4})?(?!\w)", _whole_version)
V_VERSION = matching(
    rf"[vV](?:er\. ?|\. ?)?(\d{{1,9}}(?:\.\d{{1,9}}){{0,4}}(?:\.[xX])?){_SUFFIX}(?!\w|\.\d)",
    lambda found: f"version {_whole_version(found)}",
)
_VERSIONED = (
    "Python|Ubuntu|Debian|Fedora|iOS|iPadOS|macOS|watchOS|Android|Node|PHP|Java|Ruby|Rust|Go|Kotlin|Swift|Perl|Django|Rails|React|Vue|Angular"
    "|PostgreSQL|MySQL|Redis|Kubernetes|Docker|Linux|kernel|version|Version|release|Release|build|ver\\.|TLS|HTTP|USB|Bluetooth|CUDA|PyTorch"
    "|TensorFlow"
)


def _named_version(found: re.Match[str]) -> str:
    name = "version" if found[1] == "ver." else found[1]
    return f"{name} {_version('.'.join(filter(None, found.group(2, 3, 4))), found[5], found[6])}"


NAMED_VERSION = matching(rf"({_VERSIONED})[ /-][vV]?(\d{{1,4}})\.(\d{{1,4}})(?:\.(\d{{1,6}}))?{_SUFFIX}(?!\w|\.\d)", _named_version)
"""`Python 3.10` is three point ten, not a decimal fraction."""


def _ubuntu(found: re.Match[str]) -> str:
    month = f"oh {cardinal(found[2][1])}" if found[2][0] == "0" else cardinal(found[2])
    return f"Ubuntu {cardinal(found[1])} {month}"


UBUNTU = matching(r"Ubuntu (\d\d)\.(\d\d)(?!\w|\.\d)", _ubuntu)


def _labelled(found: re.Match[str]) -> str:
    label = found[1] if found[1] in ("PIN", "SKU") else " ".join(found[1])
    groups = re.findall(r"[\dA-Z]+", found[2])
    return f"{label} {', '.join(hexadecimal(group) for group in groups)}"


ISBN = matching(r"(ISBN|ISSN|DOI|SKU|PIN|IBAN)(?:-1[03])?:? ?(?:is )?([\dX][\dX -]{2,20}[\dX])(?![\w-])", _labelled)
CVE = matching(r"(CVE|CWE)-(\d{4})-(\d{4,7})(?!\w)", lambda found: f"{' '.join(found[1])} {spelled(found[2])}, {spelled(found[3])}")
