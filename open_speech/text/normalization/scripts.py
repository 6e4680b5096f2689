"""The scripts that a voice can read, by its language, and the parts of a text in other scripts. Pure.

A voice based on the phonemes of one language reads letters of another script as the name of the script or as their code. All voices read
Latin letters.
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
"""Script -> languages that use it."""
NAMES = {"Han": "Chinese characters", "Hiragana": "Japanese", "Katakana": "Japanese", "Hangul": "Korean"}
"""Common names of scripts, where they differ from the Unicode name."""
LANGUAGES = {script: tuple(languages.split()) for script, languages in _BY_SCRIPT.items()}
_FAMILIES = {"Hiragana": "Han", "Katakana": "Han", "Bopomofo": "Han"}
_ALWAYS = r"\p{Latin}\p{Common}\p{Inherited}"
_BETWEEN = r"[\s\p{P}\p{Common}]{0,20}+"
_OTHER = "another script"
_SCRIPT = regex.compile("|".join(rf"(?P<{script}>\p{{{script}}})" for script in _BY_SCRIPT))
_EMPTY_BRACKETS = regex.compile(r"\s?(?:\(\s*\)|\[\s*\]|（\s*）|“\s*”|\"\s*\"|「\s*」|『\s*』|《\s*》)")


@dataclass(frozen=True, slots=True)
class ScriptRun:
    """A part of a text in one script; `script` is None if the voice can read it."""

    text: str
    script: str | None = None


def scripts_of(language: str) -> frozenset[str]:
    """Return the scripts that a voice of a language (a BCP-47 tag) reads besides Latin."""
    primary = language.lower().replace("_", "-").partition("-")[0]
    return frozenset(script for script, languages in LANGUAGES.items() if primary in languages)


def script_runs(text: str, language: str) -> list[ScriptRun]:
    """Split a text into parts that a voice of a language can read and parts that it cannot. All voices can read phonemes."""
    found: list[ScriptRun] = []
    for written, are_phonemes in split(text):
        for run in [ScriptRun(marked(written))] if are_phonemes else _cut(written, language):
            if found and found[-1].script == run.script:
                found[-1] = ScriptRun(found[-1].text + run.text, run.script)
            else:
                found.append(run)
    return found


def _cut(text: str, language: str) -> Iterator[ScriptRun]:
    if text.isascii():
        yield ScriptRun(text)
        return
    place = 0
    for run in _foreign(scripts_of(language)).finditer(text):
        if len(run[0]) == 1 and script_of(run[0]) == "Greek":
            continue  # a single letter is a symbol with a name, such as pi
        if run.start() > place:
            yield ScriptRun(text[place : run.start()])
        if run[0].isdecimal():
            yield ScriptRun(_digits(run[0]))
        else:
            yield from _by_script(run[0])
        place = run.end()
    if place < len(text):
        yield ScriptRun(text[place:])


def _by_script(run: str) -> Iterator[ScriptRun]:
    """Split a run of letters where the script changes; the scripts of Japanese count as one."""
    begun, family = 0, ""
    for letter in _SCRIPT.finditer(run):
        own = _FAMILIES.get(letter.lastgroup or "", letter.lastgroup or "")
        if family and own != family:
            yield ScriptRun(run[begun : letter.start()], script_of(run[begun : letter.start()]))
            begun = letter.start()
        family = own
    yield ScriptRun(run[begun:], script_of(run[begun:]))


def _digits(text: str) -> str:
    return "".join(str(unicodedata.decimal(char)) for char in text)


@functools.cache
def _foreign(scripts: frozenset[str]) -> Any:
    """Return the pattern of letters, digits and accents of other scripts, with the punctuation between them."""
    known = "".join(rf"\p{{{script}}}" for script in sorted(scripts))
    letter = rf"[[\p{{L}}\p{{M}}\p{{Nd}}\p{{Nl}}]--[{_ALWAYS}{known}]]"
    return regex.compile(rf"{letter}(?:{_BETWEEN}{letter})*+", regex.V1)


def script_of(text: str) -> str:
    """Return the script of a text: a kana script if it contains kana, otherwise that of its first letter."""
    scripts = [found.lastgroup or _OTHER for found in _SCRIPT.finditer(text)]
    kana = next((script for script in scripts if script in ("Hiragana", "Katakana")), None)
    return kana or next(iter(scripts), _OTHER)


def without_empty_brackets(text: str) -> str:
    """Remove brackets and quotation marks that are empty."""
    return str(_EMPTY_BRACKETS.sub("", text))
