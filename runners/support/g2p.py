"""Text -> phonemes: espeak-ng for most languages, misaki for Japanese and Chinese. Kokoro's; Piper brings espeak-ng of its own."""

from __future__ import annotations

import functools
import logging
import re
import threading
from collections.abc import Callable

from open_speech.errors import NotInstalled, UnsupportedLanguage
from open_speech.text.ipa import split

VOICE_LANGUAGES = {
    "a": "en-us", "b": "en-gb", "e": "es", "f": "fr-fr", "h": "hi", "i": "it", "j": "ja", "p": "pt-br", "z": "zh",
}  # fmt: skip
"""First letter of a voice's name -> the language it speaks, named as espeak-ng names it."""

_PRIMARY = {tag.partition("-")[0]: tag for tag in reversed(VOICE_LANGUAGES.values())} | {"cmn": "zh"}

_ENGLISH = {"dʒ": "ʤ", "tʃ": "ʧ", "aɪ": "I", "aʊ": "W", "eɪ": "A", "oʊ": "O", "əʊ": "Q", "ɔɪ": "Y", "ɐ": "ə"}
_AMERICAN = {"ɜːɹ": "ɜɹ", "ɜː": "ɜɹ", "ɝ": "ɜɹ", "ɚ": "əɹ", "ɾ": "T", "ʔ": "t", "ː": ""}
"""espeak-ng's English -> the signs that Kokoro's English was trained on: one letter for each diphthong and affricate, and no length.

Word errors heard by Whisper base in twenty sentences: 5.9 % with these signs, 7.1 % without.
"""
_SIGNS = {"en-us": _ENGLISH | _AMERICAN, "en-gb": _ENGLISH}

_MARKS = re.compile(
    r"((?:\s*(?:[;!?…—–\"“”«»„()।؟،؛]|[,:](?!\d)|(?<!\d)[,:]|(?<!\bDr)(?<!\bMr)(?<!\bMs)(?<!\bSt)(?<!\bMrs)(?<!\bProf)(?<!\b[A-Z])\.(?!\w)|\.$))+\s*)"
)
"""Punctuation, but not the point in `3.5`, the comma in `1,000`, or the full stop of a title or an initial before a name."""
_MARK_SIGNS = str.maketrans("–«»„।؟،؛", "—“”“.?,;")
_LETTER_A = re.compile(
    r"\bA(?= (?:and [A-Z]|[A-Z]|plus|minus|equals|squared|cubed|times|divided by|to the power|is (?:less|greater|equal|not equal|about))\b)"
)
"""espeak-ng reads a single A as the article, except before a mark; `eh` it reads as the letter."""
_LONGEST_WORD = re.compile(r"(\S{80})(?=\S)")
_WORD, _DOT, _MOST_DOTS = re.compile(r"\S+"), re.compile(r"\.(?=[^\s.])"), 6

_log = logging.getLogger(__name__ + ".phonemizer")
_log.setLevel(logging.ERROR)  # the library warns of every foreign word, and of every comma

_ONE_AT_A_TIME = threading.Lock()
"""espeak-ng keeps one state per process: two calls at once return each other's phonemes. MeCab's tagger is no better."""


def language_for(voice: str, asked: str | None) -> str:
    """Choose the language to read in: the voice's own, or the one asked for (ISO-639-1 or BCP-47, any case).

    A British voice that is asked for `en` stays British. Raises UnsupportedLanguage.
    """
    own = VOICE_LANGUAGES[voice[0]]
    if not asked:
        return own
    tag = asked.lower().replace("_", "-")
    if tag in VOICE_LANGUAGES.values():
        return tag
    primary = tag.partition("-")[0]
    if primary not in _PRIMARY:
        raise UnsupportedLanguage(f"Kokoro does not speak `{asked}`. It speaks {', '.join(sorted(_PRIMARY))}.", param="language")
    return own if own.partition("-")[0] == primary else _PRIMARY[primary]


def phonemes(text: str, language: str) -> str:
    """Write text as phonemes with stress and punctuation; those that stand in it already (text/ipa.py) stay.

    `language` is one of VOICE_LANGUAGES' values.
    espeak-ng's library must have been set up. Raises NotInstalled naming the extra that brings what the language needs.
    """
    read = _misaki if language in ("ja", "zh") else _espeak
    written = "".join(part if are_phonemes else _spaced(part, read(language, part)) for part, are_phonemes in split(text))
    for theirs, ours in _SIGNS.get(language, {}).items():
        written = written.replace(theirs, ours)
    return " ".join(written.split())


def _spaced(text: str, written: str) -> str:
    """Put back the white space around a stretch of text, which the readers drop: phonemes stand next to it."""
    return f"{' ' if text[:1].isspace() else ''}{written}{' ' if text[-1:].isspace() else ''}"


def with_letter_a(text: str) -> str:
    """Return English text in which espeak-ng says the letter A by its name where it is no article: `A T and T`, `A plus B`."""
    return _LETTER_A.sub("eh", text)


def with_short_words(text: str) -> str:
    """Put a space into runs of more than 80 characters: espeak-ng drops what a word has beyond some 160 bytes.

    It takes letters with dots, as in `U.S.A.`, for one word however many they are, and crashes on some: more than six dots become spaces.
    """
    calm = _WORD.sub(lambda word: word[0].replace(".", " ") if len(_DOT.findall(word[0])) > _MOST_DOTS else word[0], text)
    return _LONGEST_WORD.sub(r"\1 ", calm)


def _espeak(language: str, text: str) -> str:
    """Read what stands between the marks, and keep the marks: espeak-ng drops them, and phonemizer's own way breaks `3.5.` in two."""
    import phonemizer  # noqa: PLC0415 - every child process imports every runner module

    line = " ".join(text.split())
    parts = _MARKS.split(with_short_words(with_letter_a(line) if language.startswith("en") else line))
    with _ONE_AT_A_TIME:
        # Flags such as `(en)` around a foreign word would be spoken.
        parts[::2] = [
            phonemizer.phonemize(part, language, with_stress=True, language_switch="remove-flags", strip=True, logger=_log) if part else ""
            for part in parts[::2]
        ]
    parts[1::2] = [mark.translate(_MARK_SIGNS) for mark in parts[1::2]]
    return "".join(parts)


def _misaki(language: str, text: str) -> str:
    with _ONE_AT_A_TIME:
        return str(_reader(language)(text)[0]) if text.strip() else ""


@functools.cache
def _reader(language: str) -> Callable[[str], tuple[str, object]]:
    extra = f"open-speech[kokoro-{language}]"
    try:
        if language == "ja":
            from misaki.ja import JAG2P  # noqa: PLC0415 - an extra that few install

            return JAG2P()  # type: ignore[no-any-return]
        from misaki.zh import ZHG2P  # noqa: PLC0415 - an extra that few install

        return ZHG2P()  # type: ignore[no-any-return]
    except (ImportError, RuntimeError) as missing:  # RuntimeError: MeCab without a dictionary
        raise NotInstalled(f"The language `{language}` needs `pip install {extra}`.", param="language") from missing
