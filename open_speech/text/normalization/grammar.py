"""A grammar of small rules: each reads one kind of written form at one position and returns its spoken words. Pure.

A rule is a function of the text and a position. It looks at a bounded number of characters around the position, so a text is rewritten in
time proportional to its length, whatever it contains.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

DASH = "[-‐‑‒–—−]"
"""Any character that is used as a hyphen, a dash or a minus sign."""
CONTEXT_CHARS = 40
"""Characters before a position that a rule searches for words."""
_RUN = re.compile(r"[^\W\d_][^\W_]*|\d[^\W_]*")
_ARTICLE = re.compile(r"(?:^|\s)[Aa]n? $")
_NOUN = re.compile(r"[- ][a-z]")
_DOSES = re.compile(r" (?:tablet|pill|capsule|dose|bottle|can|bag|steak|lens|screen|drive|battery)(?:s|ies)?\b")
_LAST_WORD = re.compile(r"([^\W\d_]+)\.?[\s,]*$")


class SpokenForm(NamedTuple):
    """The spoken words for a written form, and the position where the form ends."""

    words: str
    end: int


Rule = Callable[[str, int], SpokenForm | None]
Say = Callable[[re.Match[str]], str | None]


def matching(pattern: str, say: Say, flags: int = 0) -> Rule:
    """Return a rule that reads matches of `pattern` as the words that `say` returns; None leaves the match to the next rule."""
    compiled = re.compile(pattern, flags)

    def read(text: str, at: int) -> SpokenForm | None:
        found = compiled.match(text, at)
        words = say(found) if found else None
        return SpokenForm(words, found.end()) if found and words is not None else None

    return read


def first_of(*rules: Rule) -> Rule:
    """Return a rule that applies the first of `rules` that matches."""

    def read(text: str, at: int) -> SpokenForm | None:
        return next((form for rule in rules if (form := rule(text, at))), None)

    return read


def word_before(text: str, at: int) -> str:
    """Return the word that ends before a position, without its full stop; empty if there is none within CONTEXT_CHARS."""
    found = _LAST_WORD.search(text[max(0, at - CONTEXT_CHARS) : at])
    return found[1] if found else ""


def describes(text: str, at: int, end: int) -> bool:
    """Return whether a form is between an article and a noun, where English has no plural: `a 90° turn`, `100 mg tablets`."""
    article = _ARTICLE.search(text[max(0, at - 4) : at]) is not None and _NOUN.match(text, end) is not None
    return article or _DOSES.match(text, end) is not None


def stop_of(found: re.Match[str]) -> str:
    """Return the full stop of an abbreviation that also ends the sentence, otherwise an empty string."""
    return "." if found[0].endswith(".") and not found.string[found.end() :].strip() else ""


class Grammar:
    """Rewrites a text from left to right: at each position the first rule that matches is applied."""

    def __init__(self, *, digits: Sequence[Rule], letters: Sequence[Rule], signs: Sequence[Rule]) -> None:
        """Take the rules for forms that begin with a digit, a letter, or any other character; earlier rules take precedence."""
        self._digits, self._letters, self._signs = digits, letters, signs

    def rewrite(self, text: str) -> str:
        """Return the text with every form that a rule matches replaced by its spoken words."""
        parts = _Parts()
        at = 0
        while at < len(text):
            if text[at].isspace():
                parts.add(text[at], spoken=False)
                at += 1
                continue
            form = next((form for rule in self._rules(text[at]) if (form := rule(text, at))), None)
            if form is not None and form.end > at:
                parts.add(form.words, spoken=True)
                at = form.end
            else:
                run = _RUN.match(text, at)
                parts.add(run[0] if run else text[at], spoken=False)
                at = run.end() if run else at + 1
        return str(parts)

    def _rules(self, char: str) -> Iterable[Rule]:
        return self._letters if char.isalpha() else self._digits if char in "0123456789" else self._signs


class _Parts:
    """Joins words and text, with a space where two words would otherwise be joined."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._was_spoken = False

    def add(self, part: str, *, spoken: bool) -> None:
        if not part:
            return
        glued = self._parts and _is_word(self._parts[-1][-1]) and _is_word(part[0]) and (spoken or self._was_spoken)
        self._parts.append(f" {part}" if glued else part)
        self._was_spoken = spoken

    def __str__(self) -> str:
        return "".join(self._parts)


def _is_word(char: str) -> bool:
    return char.isalnum() or char == "_"
