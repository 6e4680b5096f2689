"""Text -> phonemes by espeak-ng, which is GPL-3.0, through the packages phonemizer and espeakng-loader. They are optional."""

from __future__ import annotations

import ctypes
import functools
import importlib.util
import logging
import os
import re
import threading

from open_speech.errors import NotInstalled
from runners.support.english import with_letter_a

_MARKS = re.compile(
    r"((?:\s*(?:[;!?…—–\"“”«»„()।؟،؛]|[,:](?!\d)|(?<!\d)[,:]|(?<!\bDr)(?<!\bMr)(?<!\bMs)(?<!\bSt)(?<!\bMrs)(?<!\bProf)(?<!\b[A-Z])\.(?!\w)|\.$))+\s*)"
)
"""Punctuation, except the point in `3.5`, the comma in `1,000`, and the full stop of a title or an initial before a name."""
_MARK_SIGNS = str.maketrans("–«»„।؟،؛", "—“”“.?,;")
_LONGEST_WORD = re.compile(r"(\S{80})(?=\S)")
_WORD, _DOT, _MOST_DOTS = re.compile(r"\S+"), re.compile(r"\.(?=[^\s.])"), 6

_log = logging.getLogger(__name__ + ".phonemizer")
_log.setLevel(logging.ERROR)  # the library logs a warning for every foreign word, and for every comma

_ONE_AT_A_TIME = threading.Lock()
"""espeak-ng has one state per process: two concurrent calls return each other's phonemes."""


def is_installed() -> bool:
    """Return whether the package phonemizer can be found. Does not import it."""
    return importlib.util.find_spec("phonemizer") is not None


def _packaged() -> tuple[str, str] | None:
    """Return the paths of espeakng-loader's library and data; None if it is not installed, cannot be loaded, or another one is named."""
    try:
        import espeakng_loader  # noqa: PLC0415 - every child process imports every runner module

        library, data = espeakng_loader.get_library_path(), espeakng_loader.get_data_path()
        ctypes.CDLL(library)
    except (ImportError, OSError, RuntimeError):
        return None
    return None if "PHONEMIZER_ESPEAK_LIBRARY" in os.environ else (library, data)  # noqa: TID251 - phonemizer reads it, not this server


@functools.cache
def set_up() -> None:
    """Select the espeak-ng library: that of espeakng-loader, or where it cannot be loaded the one that phonemizer finds on the system.

    PHONEMIZER_ESPEAK_LIBRARY names another one. Raises NotInstalled if there is none.
    """
    from phonemizer.backend.espeak.wrapper import EspeakWrapper  # noqa: PLC0415 - as above

    found = _packaged()
    if found:
        library, data = found
        EspeakWrapper.set_library(library)
        EspeakWrapper.set_data_path(data)
    try:
        EspeakWrapper()
    except RuntimeError as missing:
        raise NotInstalled("The library of espeak-ng cannot be loaded. `pip install 'open-speech[kokoro]'` installs one.") from missing


def phonemes(text: str, language: str) -> str:
    """Convert the text between punctuation marks, and keep the marks: espeak-ng drops them, and phonemizer's own method splits `3.5.`.

    `language` is espeak-ng's name of it. Raises NotInstalled.
    """
    import phonemizer  # noqa: PLC0415 - as above

    set_up()
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


def with_short_words(text: str) -> str:
    """Insert spaces into words of more than 80 characters, because espeak-ng truncates a word after about 160 bytes.

    espeak-ng treats letters with dots, as in `U.S.A.`, as one word of any length, and crashes on some: more than six dots become spaces.
    """
    calm = _WORD.sub(lambda word: word[0].replace(".", " ") if len(_DOT.findall(word[0])) > _MOST_DOTS else word[0], text)
    return _LONGEST_WORD.sub(r"\1 ", calm)
