"""Single signs between or before words. Pure."""

from __future__ import annotations

import re

from open_speech.text.normalization.grammar import matching
from open_speech.text.numbers_en import spelled

_BETWEEN = {
    "&": "and", "&&": "and", "||": "or", "+": "plus", "=": "equals", "==": "equals", "===": "equals", "!=": "is not equal to",
    "×": "times", "÷": "divided by",
    "±": "plus or minus", "≈": "is about", "@": "at", "→": "to", "->": "to", "=>": "to", "⇒": "implies", "←": "from", "↔": "and",
    "≠": "is not equal to", "≤": "is at most", "≥": "is at least", "∞": "infinity", "∴": "therefore", "∈": "is in", "∑": "sum",
    "∫": "integral",
    "√": "square root", "∛": "cube root", "∂": "partial", "∇": "nabla", "∅": "empty set", "∪": "union", "∩": "intersection",
    "⊂": "is a subset of",
    "¬": "not", "∧": "and", "∨": "or", "∀": "for all", "∃": "there is", "<": "less than", ">": "greater than", "^": "caret",
    "<=": "is at most", ">=": "is at least",
}  # fmt: skip
_ALWAYS = {
    "©": "copyright", "®": "registered", "™": "trademark", "℠": "service mark", "№": "number", "§": "section", "§§": "sections",
    "¶": "paragraph", "℃": "degrees Celsius",
    "℉": "degrees Fahrenheit", "°": "degrees", "‰": "per mille", "%": "percent", "†": "",
}  # fmt: skip
_SPOKEN_ALONE = set(_BETWEEN) - {"<", ">", "^", "||", "="}


def _keys(words: dict[str, str]) -> str:
    return "|".join(re.escape(word) for word in sorted(words, key=len, reverse=True))


def _between(found: re.Match[str]) -> str | None:
    text, start, end = found.string, found.start(), found.end()
    before, after = text[start - 1 : start], text[end : end + 1]
    isolated = (not before or before.isspace()) and (not after or after.isspace())
    within = (before.isalnum() or before in ")]") and (after.isalnum() or after in "([$€£") and after != "" and before != ""
    if not (isolated or (within and found[0] not in ("@", "^", "<", ">"))):
        return None
    if (not before or not after) and found[0] not in _SPOKEN_ALONE:
        return None
    return f" {_BETWEEN[found[0]]} " if within and not isolated else _BETWEEN[found[0]]


BETWEEN = matching(rf"(?:{_keys(_BETWEEN)})", _between)
ALWAYS = matching(rf"(?:{_keys(_ALWAYS)}) ?", lambda found: f" {_ALWAYS[found[0].strip()]} ")
PLUS_AFTER = matching(r"\+(?![\w+])", lambda found: "plus" if found.start() and found.string[found.start() - 1].isalnum() else None)
DECIMAL = matching(r"\.(\d{1,12})(?![\w.])", lambda found: None if _follows_word(found) else f"zero point {spelled(found[1])}")


def _follows_word(found: re.Match[str]) -> bool:
    before = found.string[found.start() - 1 : found.start()]
    return before.isalnum() or before in (".", ",")


FLAG = matching(r"(--?)([a-zA-Z]\w{0,40}(?:-\w{1,40}){0,6})(?![\w-])", lambda found: _flag(found))


def _flag(found: re.Match[str]) -> str | None:
    before = found.string[found.start() - 1 : found.start()]
    if before not in (" ", "`", '"', "(", "") or (not before and len(found[1]) == 1):
        return None
    if len(found[1]) == 1 and len(found[2]) > 2:  # noqa: PLR2004 - `-name` may be a dash before a word
        return None
    return f"{'dash ' * len(found[1])}{found[2].replace('-', ' dash ')}"


VARIABLE = matching(r"\$\{?([A-Z][A-Z0-9_]{1,40})\}?(?!\w)", lambda found: f"dollar {' underscore '.join(found[1].split('_'))}")
CALL = matching(r"\(\)(?!\w)", lambda found: "" if found.start() and found.string[found.start() - 1].isalnum() else None)
