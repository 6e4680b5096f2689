"""Cleans text for speech: removes markdown, emoji and control characters. Pure: no model, no language data."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

from open_speech.text.ipa import MARKS as IPA_MARKS
from open_speech.text.ipa import around
from open_speech.text.normalization.folding import folded
from open_speech.text.normalization.markup import Markup

_BREAK = "\u2028"
"""Marks, while text is cleaned, the end of a heading, list item or paragraph: the end of a sentence even without a full stop."""

_MARKDOWN = tuple(
    (re.compile(pattern, re.MULTILINE), replacement)
    for pattern, replacement in (
        (r"^[ \t]*(?:`{3,}|~{3,})[^\n]*$", ""),  # code fence; the code stays
        (r"^[ \t]*(?:(?:-[ \t]*){3,}|(?:\*[ \t]*){3,}|(?:_[ \t]*){3,})$", ""),  # rule
        (r"!?\[([^\[\]]*)\]\([^()\s]*(?:\([^()\s]*\)[^()\s]*)*(?:[ \t]+\"[^\"\n]*\")?\)", r"\1"),  # image or link -> its text
        (r"^[ \t]*(?:>(?![ \t]?[-\d$€£])[ \t]?)+", ""),  # quote, but not `> 90%'
        (r"^[ \t]*#{1,6}[ \t]+([^\n]*?)[ \t]*#*[ \t]*$", rf"{_BREAK}\1{_BREAK}"),  # heading
        (r"^[ \t]*[-*+•][ \t]+(?:\[[ xX]\][ \t]+)?", _BREAK),  # list item
        (r"^[ \t]*(?=\d{1,3}[.)][ \t])", _BREAK),  # numbered item; the number is spoken
        (r"(?<!`)(`++)([^`\n]++)\1", r"\2"),  # code in a line; from a whole run of marks only, or a run costs the square of its length
        (r"(?<![\w*])(\*{1,3})(?=\S)([^*\n]+)(?<=\S)\1(?![\w*])", r"\2"),  # *emphasis*
        (r"(?<!\w)(_{1,3})(?=\S)([^_\n]+)(?<=\S)\1(?!\w)", r"\2"),  # _emphasis_, but not snake_case
        (r"~~(?=\S)([^~\n]+)(?<=\S)~~", r"\1"),  # struck out
        (r"(?<![\w*])\*{2,3}(?=[^\s*])|(?<=[^\s*])\*{2,3}(?![\w*])", ""),  # one half of a pair whose other half is far away
        (r"\n[ \t]*\n", _BREAK),  # paragraph
    )
)
_SENTENCE_END = frozenset(".!?…。！？؟।॥")
_CLOSED = frozenset(".!?…:;,。！？؟।॥，；：、")
CLOSERS = "\"'”’»)]」』）】"
_MIDLINE = "\ue001"
"""Precedes text that does not start at the beginning of a line; it is dropped with all control characters."""
HELD_CHARS = 1000
"""Approximate maximum length of text that is cleaned at a time, whatever markup it contains: no pattern is applied to more."""
_SURE_CHARS = 12
"""Characters of a line after which it is known whether it begins as a list item."""
MARKS = 64
"""Maximum accents on one character; Unicode's own limit for streamed text is 30."""
_WHOLE_LINE = re.compile(r"[ \t]*(?:#|`{3}|~{3})")
"""Markup that is recognized only when the line is complete: a heading, a code fence."""
_OPENS = re.compile(r"(?<![\w*])\*{1,3}(?=[^\s*])|(?<!\w)_{1,3}(?=[^\s_])|~~(?=\S)")
_CLOSES = re.compile(r"(?<=[^\s*])\*{1,3}(?![\w*])|(?<=[^\s_])_{1,3}(?!\w)|(?<=\S)~~")
_SPACES = re.compile(" +")
_NAMED_SIGNS = "°№℃℉©®™℠"
"""Symbols that are spoken by name; all others of their Unicode category are pictures."""


def speakable(text: str) -> str:
    """Return text as one line of words, without markdown, link targets, emoji and control characters.

    A heading, list item or paragraph without final punctuation gets a full stop. Empty if there is nothing to speak.
    """
    cleaner = Cleaner()
    lines = [" ".join(line.split()) for line in joined(cleaner.feed(text), cleaner.finish())]
    speakable_lines = [line for line in lines if says_something(line)]
    return " ".join([*map(closed, speakable_lines[:-1]), *speakable_lines[-1:]])


def closed(line: str) -> str:
    """Add a full stop to a line, unless it ends with punctuation."""
    return line if line.rstrip(CLOSERS)[-1:] in _CLOSED else f"{line}."


def ends_sentence(text: str) -> bool:
    """Return whether a new sentence would begin after a text; true for empty text."""
    written = text.rstrip()
    return not written or "\n\n" in text[len(written) :] or written.rstrip(CLOSERS)[-1:] in _SENTENCE_END


class Cleaner:
    """Cleans text as `speakable` does, as it arrives, in fragments of any length.

    Each call returns parts of lines: the first continues the last part of the previous call, and each further part begins a new line.
    White space at the ends of a part is significant.
    """

    def __init__(self) -> None:
        self._raw = ""
        self._within_line = False
        self._markup = Markup()

    @property
    def waiting(self) -> str:
        """The text that was fed and not returned yet."""
        return self._raw + self._markup.held

    def feed(self, text: str) -> list[str]:
        """Add text; return what is unambiguous. A word, or markup that is not closed yet, may wait for more text."""
        lines = [""]
        for start in range(0, len(text), HELD_CHARS):
            self._raw = (self._raw + self._markup.feed(text[start : start + HELD_CHARS])).replace("\r\n", "\n").replace(_BREAK, "\n")
            lines = joined(lines, self._cleaned(_safe_end(self._raw, self._within_line)))
        return lines

    def finish(self) -> list[str]:
        """Return the rest, and reset the cleaner."""
        self._raw += self._markup.finish().replace("\r\n", "\n").replace(_BREAK, "\n")
        lines = self._cleaned(len(self._raw))
        self._within_line = False
        return lines

    def _cleaned(self, end: int) -> list[str]:
        text, self._raw = self._raw[:end], self._raw[end:]
        if not text:
            return [""]
        text = unicodedata.normalize("NFC", f"{_MIDLINE}{text}" if self._within_line else text)
        text = around(text, folded)
        self._within_line = not self._raw.startswith("\n")
        for mark, replacement in _MARKDOWN:
            text = mark.sub(replacement, text)
        return [_SPACES.sub(" ", line) for line in "".join(_readable(text)).split(_BREAK)]


def joined(lines: list[str], more: list[str]) -> list[str]:
    """Join the parts of two calls of a Cleaner."""
    return [*lines[:-1], lines[-1] + more[0], *more[1:]]


def _safe_end(raw: str, within_line: bool) -> int:
    """Return the length of the part of `raw` whose meaning does not depend on later text."""
    newline = raw.rfind("\n")
    line = raw[newline + 1 :]
    if newline >= 0:
        within_line = False
    last = line.rstrip()
    end = max(last.rfind(" "), last.rfind("\t"), *(last.rfind(mark, 0, -1) for mark in "。！？")) + 1
    if len(raw) > HELD_CHARS:
        return newline + 1 + end if end else _between(raw)
    begun = within_line or (end >= _SURE_CHARS and not _WHOLE_LINE.match(line))
    if end and begun and not _is_open(line[:end]):
        return newline + 1 + end
    return len(raw[: max(newline, 0)].rstrip())


def _between(raw: str) -> int:
    """Return the last position between two characters, not before an accent; in text of only accents, any position."""
    end = len(raw) - 1
    first = max(1, end - MARKS)
    while end > first and (unicodedata.combining(raw[end]) or raw[end] in "\u200c\u200d\ufe0f"):
        end -= 1
    return end if end > first else len(raw) - 1


def _is_open(text: str) -> bool:
    """Return whether text contains an opening mark without its closing mark."""
    if text.count("`") % 2 or text.rfind("[") > text.rfind("]") or text.rfind("](") > text.rfind(")"):
        return True
    return len(_OPENS.findall(text)) > len(_CLOSES.findall(text))


def says_something(text: str) -> bool:
    """Return whether text contains anything to speak: a letter, a number, a currency or a sign that has a name."""
    return any(unicodedata.category(char)[0] in "LN" or char in "%&@+=" or unicodedata.category(char) == "Sc" for char in text)


def _readable(text: str) -> Iterator[str]:
    """Drop emoji and invisible characters; replace any white space by a space."""
    before = ""
    for char in text:
        category = unicodedata.category(char)
        if char == _BREAK or char in IPA_MARKS:
            yield char
        elif char.isspace():
            yield " "
        elif char in "\u200c\u200d":  # part of the spelling in Persian and Indic scripts, joiners of emoji elsewhere
            if before.isalpha() or (before and unicodedata.combining(before)):
                yield char
        elif category == "So":
            yield char if char in _NAMED_SIGNS else " "
        elif not (category[0] == "C" or category == "Me" or char == "`" or "\ufe00" <= char <= "\ufe0f" or "🏻" <= char <= "🏿"):
            yield char
        before = char
