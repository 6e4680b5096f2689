"""Which scripts a voice reads, by its language, and what of a text is in others. Pure.

A voice that goes by the phonemes of one language reads letters of another script by the name of the script or by their code. Latin letters
are read by all.
"""

from __future__ import annotations

import functools
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import regex

from open_speech.text.ipa import marked, split

_BY_SCRIPT = {
    "Han": "zh yue ja ko", "Bopomofo": "zh", "Hiragana": "ja", "Katakana": "ja", "Hangul": "ko", "Greek": "el", "Hebrew": "he yi",
    "Cyrillic": "ru uk be bg mk sr kk ky mn tg tt ba uz az", "Arabic": "ar fa ur ps sd ckb ug ks", "Devanagari": "hi mr ne sa kok",
    "Bengali": "bn as", "Tamil": "ta", "Telugu": "te", "Kannada": "kn", "Malayalam": "ml", "Gujarati": "gu", "Gurmukhi": "pa",
    "Oriya": "or", "Sinhala": "si", "Thai": "th", "Lao": "lo", "Myanmar": "my", "Khmer": "km", "Georgian": "ka", "Armenian": "hy",
    "Ethiopic": "am ti", "Tibetan": "bo", "Thaana": "dv", "Cherokee": "chr", "Mongolian": "mn",
}  # fmt: skip
"""Script -> languages that are written in it."""
NAMES = {"Han": "Chinese characters", "Hiragana": "Japanese", "Katakana": "Japanese", "Hangul": "Korean"}
"""What people call a script, where that is not its own name."""
LANGUAGES = {script: tuple(languages.split()) for script, languages in _BY_SCRIPT.items()}
_FAMILIES = {"Hiragana": "Han", "Katakana": "Han", "Bopomofo": "Han"}
_ALWAYS = r"\p{Latin}\p{Common}\p{Inherited}"
_BETWEEN = r"[\s\p{P}\p{Common}]{0,20}+"
_OTHER = "another script"
_SCRIPT = regex.compile("|".join(rf"(?P<{script}>\p{{{script}}})" for script in _BY_SCRIPT))
_EMPTY_BRACKETS = regex.compile(r"\s?(?:\(\s*\)|\[\s*\]|（\s*）|“\s*”|\"\s*\"|「\s*」|『\s*』|《\s*》)")


@dataclass(frozen=True, slots=True)
class Stretch:
    """A stretch of text; `script` is None for what the voice reads."""

    text: str
    script: str | None = None


def scripts_of(language: str) -> frozenset[str]:
    """Return the scripts that a voice of a language (a BCP-47 tag) reads besides Latin."""
    primary = language.lower().replace("_", "-").partition("-")[0]
    return frozenset(script for script, languages in LANGUAGES.items() if primary in languages)


def stretches(text: str, language: str) -> list[Stretch]:
    """Cut a text at the borders of what a voice of a language reads; phonemes that stand in it are read by all."""
    found: list[Stretch] = []
    for written, are_phonemes in split(text):
        for stretch in [Stretch(marked(written))] if are_phonemes else _cut(written, language):
            if found and found[-1].script == stretch.script:
                found[-1] = Stretch(found[-1].text + stretch.text, stretch.script)
            else:
                found.append(stretch)
    return found


def _cut(text: str, language: str) -> Iterator[Stretch]:
    if text.isascii():
        yield Stretch(text)
        return
    place = 0
    for run in _foreign(scripts_of(language)).finditer(text):
        if len(run[0]) == 1 and script_of(run[0]) == "Greek":
            continue  # alone it is a sign with a name, such as pi
        if run.start() > place:
            yield Stretch(text[place : run.start()])
        if run[0].isdecimal():
            yield Stretch(_digits(run[0]))
        else:
            yield from _by_script(run[0])
        place = run.end()
    if place < len(text):
        yield Stretch(text[place:])


def _by_script(run: str) -> Iterator[Stretch]:
    """Part a run of letters where one script gives way to another; Japanese is written in several at once."""
    begun, family = 0, ""
    for letter in _SCRIPT.finditer(run):
        own = _FAMILIES.get(letter.lastgroup or "", letter.lastgroup or "")
        if family and own != family:
            yield Stretch(run[begun : letter.start()], script_of(run[begun : letter.start()]))
            begun = letter.start()
        family = own
    yield Stretch(run[begun:], script_of(run[begun:]))


def _digits(text: str) -> str:
    return "".join(str(unicodedata.decimal(char)) for char in text)


@functools.cache
def _foreign(scripts: frozenset[str]) -> Any:
    """Return what finds letters, digits and accents of other scripts, with the marks between them."""
    known = "".join(rf"\p{{{script}}}" for script in sorted(scripts))
    letter = rf"[[\p{{L}}\p{{M}}\p{{Nd}}\p{{Nl}}]--[{_ALWAYS}{known}]]"
    return regex.compile(rf"{letter}(?:{_BETWEEN}{letter})*+", regex.V1)


def script_of(text: str) -> str:
    """Name the script of a text: kana makes it Japanese, else that of its first letter counts."""
    scripts = [found.lastgroup or _OTHER for found in _SCRIPT.finditer(text)]
    kana = next((script for script in scripts if script in ("Hiragana", "Katakana")), None)
    return kana or next(iter(scripts), _OTHER)


def without_empty_brackets(text: str) -> str:
    """Drop brackets and quotation marks that hold nothing any more."""
    return str(_EMPTY_BRACKETS.sub("", text))
