"""Text -> phonemes for Kokoro: espeak-ng for most languages, misaki for Japanese and Chinese. Piper contains its own espeak-ng."""

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
"""First letter of a voice's name -> its language, with espeak-ng's name."""

_PRIMARY = {tag.partition("-")[0]: tag for tag in reversed(VOICE_LANGUAGES.values())} | {"cmn": "zh"}

_ENGLISH = {"dʒ": "ʤ", "tʃ": "ʧ", "aɪ": "I", "aʊ": "W", "eɪ": "A", "oʊ": "O", "əʊ": "Q", "ɔɪ": "Y", "ɐ": "ə"}
_AMERICAN = {"ɜːɹ": "ɜɹ", "ɜː": "ɜɹ", "ɝ": "ɜɹ", "ɚ": "əɹ", "ɾ": "T", "ʔ": "t", "ː": ""}
"""espeak-ng's English -> the signs that Kokoro's English was trained on: one letter for each diphthong and affricate, and no length.

Word errors of Whisper base in twenty sentences: 5.9 % with these signs, 7.1 % without.
"""
_SIGNS = {"en-us": _ENGLISH | _AMERICAN, "en-gb": _ENGLISH}

_MARKS = re.compile(
    r"((?:\s*(?:[;!?…—–\"“”«»„()।؟،؛]|[,:](?!\d)|(?<!\d)[,:]|(?<!\bDr)(?<!\bMr)(?<!\bMs)(?<!\bSt)(?<!\bMrs)(?<!\bProf)(?<!\b[A-Z])\.(?!\w)|\.$))+\s*)"
)
"""Punctuation, except the point in `3.5`, the comma in `1,000`, and the full stop of a title or an initial before a name."""
_MARK_SIGNS = str.maketrans("–«»„।؟،؛", "—“”“.?,;")
_LETTER_A = re.compile(
    r"\bA(?= (?:and [A-Z]|[A-Z]|plus|minus|equals|squared|cubed|times|divided by|to the power|is (?:less|greater|equal|not equal|about))\b)"
)
"""A letter A that espeak-ng would read as the article, as it does except before a mark; it reads `eh` like the letter."""
_LONGEST_WORD = re.compile(r"(\S{80})(?=\S)")
_WORD, _DOT, _MOST_DOTS = re.compile(r"\S+"), re.compile(r"\.(?=[^\s.])"), 6

_log = logging.getLogger(__name__ + ".phonemizer")
_log.setLevel(logging.ERROR)  # the library logs a warning for every foreign word, and for every comma

_ONE_AT_A_TIME = threading.Lock()
"""espeak-ng has one state per process: two concurrent calls return each other's phonemes. MeCab's tagger has the same problem."""


def language_for(voice: str, asked: str | None) -> str:
    """Return the language for the phonemes: the voice's own, or the requested one (ISO-639-1 or BCP-47, any case).

    A British voice remains British for `en`. Raises UnsupportedLanguage.
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
    """Convert text to phonemes with stress and punctuation; phonemes that the text already contains (text/ipa.py) are kept.

    `language` is one of VOICE_LANGUAGES' values. espeak-ng's library must be set up. Raises NotInstalled with the name of the extra that
    installs the packages of the language.
    """
    read = _misaki if language in ("ja", "zh") else _espeak
    written = "".join(part if are_phonemes else _spaced(part, read(language, part)) for part, are_phonemes in split(text))
    for theirs, ours in _SIGNS.get(language, {}).items():
        written = written.replace(theirs, ours)
    return " ".join(written.split())


def _spaced(text: str, written: str) -> str:
    """Restore the white space around a part of a text, which the converters remove, because phonemes may adjoin it."""
    return f"{' ' if text[:1].isspace() else ''}{written}{' ' if text[-1:].isspace() else ''}"


def with_letter_a(text: str) -> str:
    """Return English text with `eh` for each A that is a letter and not the article: `A T and T`, `A plus B`."""
    return _LETTER_A.sub("eh", text)


def with_short_words(text: str) -> str:
    """Insert spaces into words of more than 80 characters, because espeak-ng truncates a word after about 160 bytes.

    espeak-ng treats letters with dots, as in `U.S.A.`, as one word of any length, and crashes on some: more than six dots become spaces.
    """
    calm = _WORD.sub(lambda word: word[0].replace(".", " ") if len(_DOT.findall(word[0])) > _MOST_DOTS else word[0], text)
    return _LONGEST_WORD.sub(r"\1 ", calm)


def _espeak(language: str, text: str) -> str:
    """Convert the text between punctuation marks, and keep the marks: espeak-ng drops them, and phonemizer's own method splits `3.5.`."""
    import phonemizer  # noqa: PLC0415 - every child process imports every runner module

    line = " ".join(text.split())
    parts = _MARKS.split(with_short_words(with_letter_a(line) if language.startswith("en") else line))
    with _ONE_AT_A_TIME:
        # Flags such as `(en)` around a foreign word would be synthesized.
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
            from misaki.ja import JAG2P  # noqa: PLC0415 - an extra that few users install

            return JAG2P()  # type: ignore[no-any-return]
        from misaki.zh import ZHG2P  # noqa: PLC0415 - an extra that few users install

        return ZHG2P()  # type: ignore[no-any-return]
    except (ImportError, RuntimeError) as missing:  # RuntimeError: MeCab without a dictionary
        raise NotInstalled(f"The language `{language}` needs `pip install {extra}`.", param="language") from missing
