"""Text -> phonemes for Kokoro: English by espeak-ng or hibari, Japanese and Chinese by misaki, other languages by espeak-ng."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from typing import Literal

from open_speech.errors import NotInstalled, UnsupportedLanguage
from open_speech.text.ipa import split
from runners.support import espeak, hibari_g2p
from runners.support.english import kokoro_signs

VOICE_LANGUAGES = {
    "a": "en-us", "b": "en-gb", "e": "es", "f": "fr-fr", "h": "hi", "i": "it", "j": "ja", "p": "pt-br", "z": "zh",
}  # fmt: skip
"""First letter of a voice's name -> its language, with espeak-ng's name."""

_PRIMARY = {tag.partition("-")[0]: tag for tag in reversed(VOICE_LANGUAGES.values())} | {"cmn": "zh"}

Converter = Literal["espeak", "hibari"]
_EXTRAS: dict[Converter, str] = {"espeak": "kokoro", "hibari": "kokoro-en"}
"""The extra of Open Speech that installs each converter of English."""


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


def english_converter(asked: Literal["auto", "espeak", "hibari"]) -> Converter:
    """Return what converts English: the requested converter; for `auto` espeak-ng if it is installed, otherwise hibari.

    Raises NotInstalled if the requested one, or for `auto` both, are not installed.
    """
    installed: dict[Converter, bool] = {"espeak": espeak.is_installed(), "hibari": hibari_g2p.is_installed()}
    wanted: tuple[Converter, ...] = ("espeak", "hibari") if asked == "auto" else (asked,)
    found = next((name for name in wanted if installed[name]), None)
    if found is None:
        commands = " or ".join(f"`pip install 'open-speech[{_EXTRAS[name]}]'`" for name in wanted)
        raise NotInstalled(f"Kokoro needs a converter of English text to phonemes (TTS_KOKORO_G2P={asked}): {commands}.")
    return found


class G2P:
    """Converts texts to phonemes. Its calls may come from several threads."""

    def __init__(self, english: Converter) -> None:
        """Remember what converts English; each converter is loaded at its first use."""
        self._english = english
        self._lexicons: dict[str, hibari_g2p.HibariG2P] = {}
        self._lock = threading.Lock()

    def phonemes(self, text: str, language: str) -> str:
        """Convert text to phonemes with stress and punctuation; phonemes that the text already contains (text/ipa.py) are kept.

        `language` is one of VOICE_LANGUAGES' values. Raises NotInstalled with the name of the extra that installs the packages of the
        language.
        """
        if self._english == "hibari" and language.startswith("en"):
            return " ".join(self._by_hibari(text, language))
        convert = _misaki if language in ("ja", "zh") else _espeak
        written = "".join(part if are_phonemes else _spaced(part, convert(part, language)) for part, are_phonemes in split(text))
        return " ".join(kokoro_signs(written, language).split())

    def _by_hibari(self, text: str, language: str) -> list[str]:
        with self._lock:
            if language not in self._lexicons:
                self._lexicons[language] = hibari_g2p.HibariG2P(british=language == "en-gb")
            return self._lexicons[language].sentences(text)


def _spaced(text: str, written: str) -> str:
    """Restore the white space around a part of a text, which the converters remove, because phonemes may adjoin it."""
    return f"{' ' if text[:1].isspace() else ''}{written}{' ' if text[-1:].isspace() else ''}"


def _espeak(text: str, language: str) -> str:
    if not espeak.is_installed():
        raise NotInstalled(f"Kokoro needs espeak-ng for the language `{language}`: `pip install 'open-speech[kokoro]'`.", param="language")
    return espeak.phonemes(text, language)


_ONE_AT_A_TIME = threading.Lock()
"""MeCab's tagger has one state per process: two concurrent calls return each other's results."""


def _misaki(text: str, language: str) -> str:
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
