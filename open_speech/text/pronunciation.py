"""The pronunciation dictionary: words that engines pronounce wrongly. One YAML file for all engines, reloaded when it changes.

```yaml
words:                          # in every language
  SQL: sequel                   # with a capital letter: case-sensitive
  nginx: engine x               # without: case-insensitive
  Nguyen: {ipa: "wɪn", say: win}  # phonemes for engines that accept them, words for the others
patterns:
  - {match: '\\bv(\\d+)\\b', say: 'version \\1'}
languages:                      # in addition, for one language (`en`) or region (`en-GB`)
  de: {words: {SQL: Es-Ku-El}}
```

A file of words alone may leave out `words:`, and be JSON: `SQL: sequel`.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import re
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Self

import regex
import yaml
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from open_speech.config import SettingsError
from open_speech.text.ipa import around, marked
from open_speech.text.spoken_form import spoken

log = logging.getLogger("open_speech.pronunciation")

CHECK_EVERY_S = 1.0
"""Minimum seconds between two checks of the file's modification time."""
FILE_BYTES = 4 << 20
"""Maximum size of the file."""
LONGEST_MATCH = 300
"""Maximum characters of a word or of a regular expression."""
PATTERN_S = 0.02
"""Maximum seconds of a pattern for one sentence or trial text; a slower pattern is not used."""
_TRIALS = tuple(trial * 200 + end for trial in ("a", "1", " ", "a ", "ab", "-", "a1", ".") for end in ("", "!", "\x00"))
_STARTS = re.compile(r"(?<!\w)\S")
_CONTINUES = re.compile(r"\w")


class PronunciationError(SettingsError):
    """The dictionary is invalid; the message names the file and the entry."""


def _phonemes(text: str | None) -> str | None:
    if text is not None:
        marked(text)
    return text


class Replacement(BaseModel):
    """A replacement: words, phonemes or both."""

    model_config = ConfigDict(frozen=True, extra="forbid", coerce_numbers_to_str=True)

    say: str | None = Field(None, max_length=1000)
    ipa: Annotated[str | None, AfterValidator(_phonemes)] = None

    @model_validator(mode="after")
    def _is_not_empty(self) -> Self:
        if self.say is None and self.ipa is None:
            raise ValueError("needs `say` (words), `ipa` (phonemes) or both")
        return self

    def text(self, *, phonemes: bool) -> str | None:
        """Return the replacement for an engine, by whether it accepts phonemes; None leaves the text as it is."""
        return marked(self.ipa) if self.ipa is not None and phonemes else self.say


class Pattern(Replacement):
    """A regular expression and its replacement; `\\1` in `say` is the first group of the match."""

    match: str = Field(min_length=1, max_length=LONGEST_MATCH)

    @functools.cached_property
    def compiled(self) -> Any:
        """The compiled expression."""
        return regex.compile(self.match)

    @model_validator(mode="after")
    def _is_quick(self) -> Self:
        try:
            if self.compiled.fullmatch(""):
                raise ValueError(f"`{self.match}` matches the empty string")
            for trial in _TRIALS:
                self.compiled.sub(self.say or "", trial, timeout=PATTERN_S)
        except (regex.error, IndexError) as wrong:
            raise ValueError(f"`{self.match}`: {wrong}") from None
        except TimeoutError:
            raise ValueError(f"`{self.match}` takes too long: it nests repetitions") from None
        return self

    def apply(self, text: str, *, phonemes: bool) -> str:
        """Rewrite a text that contains no phonemes; return it unchanged if that takes too long."""
        replacement = self.text(phonemes=phonemes)
        if replacement is None:
            return text
        try:
            return str(self.compiled.sub(replacement, text, timeout=PATTERN_S))
        except TimeoutError:
            log.warning("the pronunciation pattern `%s` takes too long for a sentence and was skipped", self.match)
            return text


Word = Annotated[str, Field(min_length=1, max_length=LONGEST_MATCH), AfterValidator(lambda word: " ".join(word.split()))]
_Entry = Annotated[Replacement, BeforeValidator(lambda value: value if isinstance(value, dict) else {"say": value})]


class Section(BaseModel):
    """The entries of one language, or of all languages."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    words: Mapping[Word, _Entry] = Field(default_factory=dict)
    patterns: tuple[Pattern, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _empty_is_none(cls, data: Any) -> Any:
        return {key: value for key, value in data.items() if value is not None} if isinstance(data, dict) else data

    @functools.cached_property
    def lengths(self) -> Mapping[str, tuple[int, ...]]:
        """The lengths of the words that begin with a character (in lower case), longest first.

        With this index, searching a sentence takes the same time for ten words as for ten thousand. A named list of the `regex` package
        tries every word at every position: a sentence of six words took 0.5 ms with ten thousand entries.
        """
        found: dict[str, set[int]] = {}
        for word in self.words:
            found.setdefault(word[0].lower(), set()).add(len(word))
        return {char: tuple(sorted(lengths, reverse=True)) for char, lengths in found.items()}

    def apply(self, text: str, *, phonemes: bool) -> str:
        """Rewrite one sentence; phonemes in it are kept."""
        if self.words:
            text = around(text, functools.partial(self._with_words, phonemes=phonemes))
        for pattern in self.patterns:
            text = around(text, functools.partial(pattern.apply, phonemes=phonemes))
        return text

    def _with_words(self, text: str, *, phonemes: bool) -> str:
        parts: list[str] = []
        done = 0
        for start in _STARTS.finditer(text):
            if start.start() >= done and (word := self._word_at(text, start.start())):
                replacement = self.words.get(word) or self.words[word.lower()]
                parts += (text[done : start.start()], replacement.text(phonemes=phonemes) or word)
                done = start.start() + len(word)
        return "".join(parts) + text[done:]

    def _word_at(self, text: str, start: int) -> str:
        """Return the text of the entry that begins at a position: exact entries first, then the longest; empty if there is none."""
        parts = [text[start : start + length] for length in self.lengths.get(text[start].lower(), ())]
        whole = [part for part in parts if not _CONTINUES.match(text, start + len(part))]
        exact = (part for part in whole if part in self.words and part != part.lower())
        return next(exact, "") or next((part for part in whole if part.lower() in self.words), "")


class Rules(Section):
    """The content of a dictionary."""

    languages: Mapping[Annotated[str, AfterValidator(lambda tag: tag.lower().replace("_", "-"))], Section] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _words_alone(cls, data: Any) -> Any:
        """Accept a file of words without sections, as other servers have it: all of its values are replacements, and none is a section."""
        is_flat = isinstance(data, dict) and data and all(isinstance(value, str | int | float) for value in data.values())
        return {"words": data} if is_flat else data

    def rewrite(self, text: str, language: str, *, phonemes: bool) -> str:
        """Rewrite one sentence of a language (a BCP-47 tag), by the entries of the region, then of the language, then of all languages."""
        tag = language.lower().replace("_", "-")
        for name in dict.fromkeys((tag, tag.partition("-")[0])):
            if name in self.languages:
                text = self.languages[name].apply(text, phonemes=phonemes)
        return self.apply(text, phonemes=phonemes)


class Pronunciation:
    """The dictionary of a server: its file is read at startup, and reloaded when it has changed."""

    def __init__(self, path: Path | None = None, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Read the file; None is a dictionary without entries. Blocking. Raises PronunciationError naming the entry."""
        self._path = path
        self._clock = clock
        self._date = _date(path)
        self._rules = Rules() if path is None else read(path)
        self._checked_at = clock()

    async def rules(self) -> Rules:
        """Return the current entries. If a change cannot be read, a warning is logged once, and the previous entries stay in use."""
        if self._path is not None and self._clock() - self._checked_at >= CHECK_EVERY_S:
            self._checked_at = self._clock()
            await asyncio.to_thread(self._reload, self._path)
        return self._rules

    def _reload(self, path: Path) -> None:
        date = _date(path)
        if date == self._date:
            return
        self._date = date
        try:
            self._rules = read(path)
            log.info("reloaded %s", path)
        except PronunciationError as broken:
            log.warning("%s; the previous entries stay in use", broken)


def read(path: Path) -> Rules:
    """Read a dictionary. Blocking. Raises PronunciationError naming the invalid entry."""
    try:
        if path.stat().st_size > FILE_BYTES:
            raise PronunciationError(f"TTS_PRONUNCIATION_DICT: {path} is larger than {FILE_BYTES >> 20} MiB")
        rules = Rules.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")) or {})
    except ValidationError as invalid:
        first = invalid.errors()[0]
        where = ".".join(str(part) for part in first["loc"] if part != "[key]")
        problem = first["msg"].removeprefix("Value error, ")
        raise PronunciationError(f"TTS_PRONUNCIATION_DICT: {path}: {where + ': ' if where else ''}{problem}") from None
    except OSError as error:
        raise PronunciationError(f"TTS_PRONUNCIATION_DICT: {path}: {error.strerror}") from None
    except (yaml.YAMLError, RecursionError, UnicodeDecodeError) as error:
        raise PronunciationError(f"TTS_PRONUNCIATION_DICT: {path} is not YAML: {error}") from None
    for section in (rules, *rules.languages.values()):
        _ = section.lengths  # computed here, where it does not delay a request
    return rules


def _date(path: Path | None) -> tuple[int, int]:
    try:
        return (0, 0) if path is None else ((seen := path.stat()).st_mtime_ns, seen.st_size)
    except OSError:
        return (0, 0)


def spoken_sentence(rules: Rules, phonemes: bool, text: str, language: str) -> str:
    """Rewrite a sentence to its spoken form: dictionary entries first, then text normalization."""
    return spoken(rules.rewrite(text, language, phonemes=phonemes), language)
