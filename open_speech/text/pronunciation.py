"""The pronunciation dictionary: how to say what engines say wrong. One YAML file for every engine, read again when it changes.

```yaml
words:                          # in every language
  SQL: sequel                   # with a capital letter: written just so
  nginx: engine x               # without: in any case
  Nguyen: {ipa: "wɪn", say: win}  # phonemes for engines that take them, words for the others
patterns:
  - {match: '\\bv(\\d+)\\b', say: 'version \\1'}
languages:                      # besides, in one language (`en`) or region (`en-GB`)
  de: {words: {SQL: Es-Ku-El}}
```
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

LOOK_EVERY_S = 1.0
"""The file's date is looked at no more often."""
FILE_BYTES = 4 << 20
"""Largest file."""
LONGEST_MATCH = 300
"""Characters of a word, or of a regular expression."""
PATTERN_S = 0.02
"""A pattern that takes longer for one sentence, or for a trial text, is not used."""
_TRIALS = tuple(trial * 200 + end for trial in ("a", "1", " ", "a ", "ab", "-", "a1", ".") for end in ("", "!", "\x00"))
_STARTS = re.compile(r"(?<!\w)\S")
_GOES_ON = re.compile(r"\w")


class PronunciationError(SettingsError):
    """The dictionary is not what it should be; the message names the file and the entry."""


def _phonemes(text: str | None) -> str | None:
    if text is not None:
        marked(text)
    return text


class Saying(BaseModel):
    """What to say instead: words, phonemes or both."""

    model_config = ConfigDict(frozen=True, extra="forbid", coerce_numbers_to_str=True)

    say: str | None = Field(None, max_length=1000)
    ipa: Annotated[str | None, AfterValidator(_phonemes)] = None

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.say is None and self.ipa is None:
            raise ValueError("needs `say` (words), `ipa` (phonemes) or both")
        return self

    def text(self, *, phonemes: bool) -> str | None:
        """Choose what an engine gets; None leaves the text as it is."""
        return marked(self.ipa) if self.ipa is not None and phonemes else self.say


class Pattern(Saying):
    """A regular expression, and what to say for a match of it; `\\1` in `say` is the match's first group."""

    match: str = Field(min_length=1, max_length=LONGEST_MATCH)

    @functools.cached_property
    def compiled(self) -> Any:
        """The expression, ready for use."""
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
        """Rewrite a text without phonemes in it; as it is when that takes too long."""
        said = self.text(phonemes=phonemes)
        if said is None:
            return text
        try:
            return str(self.compiled.sub(said, text, timeout=PATTERN_S))
        except TimeoutError:
            log.warning("the pronunciation pattern `%s` takes too long for a sentence and was skipped", self.match)
            return text


Word = Annotated[str, Field(min_length=1, max_length=LONGEST_MATCH), AfterValidator(lambda word: " ".join(word.split()))]
_Entry = Annotated[Saying, BeforeValidator(lambda value: value if isinstance(value, dict) else {"say": value})]


class Section(BaseModel):
    """The entries of one language, or of all."""

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

        With it a sentence is searched in the same time for ten words as for ten thousand. A named list of the `regex` package tries
        every word at every place: a sentence of six words took 0.5 ms with ten thousand entries.
        """
        found: dict[str, set[int]] = {}
        for word in self.words:
            found.setdefault(word[0].lower(), set()).add(len(word))
        return {char: tuple(sorted(lengths, reverse=True)) for char, lengths in found.items()}

    def apply(self, text: str, *, phonemes: bool) -> str:
        """Rewrite one sentence; phonemes that stand in it stay."""
        if self.words:
            text = around(text, functools.partial(self._with_words, phonemes=phonemes))
        for pattern in self.patterns:
            text = around(text, functools.partial(pattern.apply, phonemes=phonemes))
        return text

    def _with_words(self, text: str, *, phonemes: bool) -> str:
        written: list[str] = []
        done = 0
        for start in _STARTS.finditer(text):
            if start.start() >= done and (word := self._word_at(text, start.start())):
                saying = self.words.get(word) or self.words[word.lower()]
                written += (text[done : start.start()], saying.text(phonemes=phonemes) or word)
                done = start.start() + len(word)
        return "".join(written) + text[done:]

    def _word_at(self, text: str, start: int) -> str:
        """Find the entry that begins at a place, as the text spells it: an exact one if there is one, the longest first."""
        parts = [text[start : start + length] for length in self.lengths.get(text[start].lower(), ())]
        whole = [part for part in parts if not _GOES_ON.match(text, start + len(part))]
        exact = (part for part in whole if part in self.words and part != part.lower())
        return next(exact, "") or next((part for part in whole if part.lower() in self.words), "")


class Rules(Section):
    """A dictionary as it was read."""

    languages: Mapping[Annotated[str, AfterValidator(lambda tag: tag.lower().replace("_", "-"))], Section] = Field(default_factory=dict)

    def rewrite(self, text: str, language: str, *, phonemes: bool) -> str:
        """Rewrite one sentence of a language (a BCP-47 tag): the region's entries come first, then the language's, then the general."""
        tag = language.lower().replace("_", "-")
        for name in dict.fromkeys((tag, tag.partition("-")[0])):
            if name in self.languages:
                text = self.languages[name].apply(text, phonemes=phonemes)
        return self.apply(text, phonemes=phonemes)


class Pronunciation:
    """The dictionary of a server: its file is read at the start, and again when it has changed."""

    def __init__(self, path: Path | None = None, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Read the file; None is a dictionary without entries. Blocking. Raises PronunciationError naming the entry."""
        self._path = path
        self._clock = clock
        self._date = _date(path)
        self._rules = Rules() if path is None else read(path)
        self._looked = clock()

    async def rules(self) -> Rules:
        """Give the entries as they are now. A change that cannot be read is warned of once, and what was good before stays."""
        if self._path is not None and self._clock() - self._looked >= LOOK_EVERY_S:
            self._looked = self._clock()
            await asyncio.to_thread(self._look, self._path)
        return self._rules

    def _look(self, path: Path) -> None:
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
    """Read a dictionary. Blocking. Raises PronunciationError naming the entry that is wrong."""
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
        _ = section.lengths  # made here, where it may take its time
    return rules


def _date(path: Path | None) -> tuple[int, int]:
    try:
        return (0, 0) if path is None else ((seen := path.stat()).st_mtime_ns, seen.st_size)
    except OSError:
        return (0, 0)


def spoken_sentence(rules: Rules, phonemes: bool, text: str, language: str) -> str:
    """Rewrite a sentence to its spoken form: dictionary entries first, then text normalization."""
    return spoken(rules.rewrite(text, language, phonemes=phonemes), language)
