"""Text -> what can be spoken, cut into pieces that start early and sound whole. Pure: no model, no language data."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

from sentence_stream import stream_to_sentences

TINY_CHARS = 24
"""A sentence shorter than this sounds clipped when it is spoken by itself, so it is joined with the next."""

_BREAK = "\u2028"
"""Stands, while text is cleaned, for the end of a heading, item or paragraph: a sentence even without a full stop."""

_MARKDOWN = tuple(
    (re.compile(pattern, re.MULTILINE), replacement)
    for pattern, replacement in (
        (r"^[ \t]*(?:`{3,}|~{3,})[^\n]*$", ""),  # code fence; the code stays
        (r"^[ \t]*(?:(?:-[ \t]*){3,}|(?:\*[ \t]*){3,}|(?:_[ \t]*){3,})$", ""),  # rule
        (r"!?\[([^\[\]]*)\]\([^()\s]*(?:\([^()\s]*\)[^()\s]*)*(?:[ \t]+\"[^\"\n]*\")?\)", r"\1"),  # image or link -> its text
        (r"^[ \t]*(?:>[ \t]?)+", ""),  # quote
        (r"^[ \t]*#{1,6}[ \t]+([^\n]*?)[ \t]*#*[ \t]*$", rf"{_BREAK}\1{_BREAK}"),  # heading
        (r"^[ \t]*[-*+•][ \t]+(?:\[[ xX]\][ \t]+)?", _BREAK),  # list item
        (r"^[ \t]*(?=\d{1,3}[.)][ \t])", _BREAK),  # numbered item; the number is spoken
        (r"(`+)([^`\n]+)\1", r"\2"),  # code in a line
        (r"(?<![\w*])(\*{1,3})(?=\S)([^*\n]+)(?<=\S)\1(?![\w*])", r"\2"),  # *emphasis*
        (r"(?<!\w)(_{1,3})(?=\S)([^_\n]+)(?<=\S)\1(?!\w)", r"\2"),  # _emphasis_, but not snake_case
        (r"~~(?=\S)([^~\n]+)(?<=\S)~~", r"\1"),  # struck out
        (r"\n[ \t]*\n", _BREAK),  # paragraph
    )
)
_CLOSED = frozenset(".!?…:;,。！？؟।॥，；：、")
_CLOSERS = "\"'”’»)]」』）】"
_CLAUSE_END = re.compile(
    rf"(?:[,;:،؛…!?]|(?<=[^\W\d_]{{2}})\.)[{re.escape(_CLOSERS)}]*\s|\s(?=[—–(])|[—–]\s"
    rf"|[，、；：。！？][{re.escape(_CLOSERS)}]*"
)
"""A full stop counts after two letters only: `p.m.` and `3.` do not end a clause."""
_SHORTENED = re.compile(r"(?:^|\s)(?:Prof|Capt|Gen|Sen|Gov|Sgt|Rev|Hon|vs|etc|approx|[ap]\.m|e\.g|i\.e|z\.B)\.$")
"""Longer than the three letters by which the library knows an abbreviation."""
_ASTERISK = "\ue000"
"""The library strips asterisks as markdown, but here they are text, and none may be lost."""


def speakable(text: str) -> str:
    """Write text as one line of words: markdown marks, addresses of links, emoji and control characters are gone.

    A heading, list item or paragraph that ends without a mark gets a full stop. Empty when there is nothing to say.
    """
    text = unicodedata.normalize("NFC", text.replace("\r\n", "\n").replace(_BREAK, "\n"))
    for mark, replacement in _MARKDOWN:
        text = mark.sub(replacement, text)
    lines = [" ".join(line.split()) for line in "".join(_readable(text)).split(_BREAK)]
    spoken = [line for line in lines if says_something(line)]
    closed = [line if line.rstrip(_CLOSERS)[-1:] in _CLOSED else f"{line}." for line in spoken[:-1]]
    return " ".join([*closed, *spoken[-1:]])


def says_something(text: str) -> bool:
    """Tell whether text holds anything that sounds: a letter, a number, a currency or a sign that has a name."""
    return any(unicodedata.category(char)[0] in "LN" or char in "%&@+=" or unicodedata.category(char) == "Sc" for char in text)


def pieces(text: str, *, first_chars: int, piece_chars: int) -> list[str]:
    """Cut text at sentence ends into pieces of at most `piece_chars` characters; no word is lost, and none is cut unless it is longer.

    The first piece is cut at a clause near `first_chars`, and the limit doubles with every piece: each is ready before the one ahead
    of it has been heard. Tiny sentences are joined with the next. Empty when the text says nothing. Raises ValueError unless
    0 < first_chars <= piece_chars.
    """
    if not 0 < first_chars <= piece_chars:
        raise ValueError(f"first_chars {first_chars} is not in [1, {piece_chars}]")
    found: list[str] = []
    rest = ""
    for sentence in _sentences(text):
        tiny = len(rest)
        rest = f"{rest} {sentence}" if rest else sentence
        while len(rest) > (limit := min(piece_chars, first_chars << min(len(found), 16))):
            # Nothing has been heard yet: a tiny sentence goes out by itself rather than wait for a long one.
            place = _clause(rest, limit) or (0 if found else tiny) or _later(rest, limit, piece_chars)
            found.append(rest[:place].rstrip())
            rest, tiny = rest[place:].lstrip(), 0
        if len(rest) >= TINY_CHARS:
            found.append(rest)
            rest = ""
    return [piece for piece in (*found, rest) if says_something(piece)]


def _readable(text: str) -> Iterator[str]:
    """Drop emoji and what is not written; white space of any kind becomes a space."""
    before = ""
    for char in text:
        category = unicodedata.category(char)
        if char == _BREAK:
            yield char
        elif char.isspace():
            yield " "
        elif char in "\u200c\u200d":  # spelling in Persian and Indic scripts, glue between emoji elsewhere
            if before.isalpha() or (before and unicodedata.combining(before)):
                yield char
        elif category == "So":
            yield char if char in "°№℃℉" else " "
        elif not (category[0] == "C" or category == "Me" or char == "`" or "\ufe00" <= char <= "\ufe0f" or "🏻" <= char <= "🏿"):
            yield char
        before = char


def _sentences(text: str) -> Iterator[str]:
    held = ""
    for sentence in stream_to_sentences([" ".join(text.split()).replace("*", _ASTERISK)]):
        held = f"{held} {sentence}" if held else sentence
        if not _SHORTENED.search(held):
            yield held.replace(_ASTERISK, "*")
            held = ""
    if held:
        yield held.replace(_ASTERISK, "*")


def _clauses(text: str) -> Iterator[int]:
    """Yield the places where a clause ends and more text follows."""
    for found in _CLAUSE_END.finditer(text):
        place = found.end()
        # A full stop before a capital was judged already, by whoever cut the sentences: this one belongs to an abbreviation.
        if place < len(text) and not (found[0][0] == "." and text[place].isupper()):
            yield place


def _clause(text: str, limit: int) -> int:
    """Find the last end of a clause within `limit` characters that leaves no tiny piece; 0 if there is none."""
    return max((place for place in _clauses(text) if TINY_CHARS <= place <= limit), default=0)


def _later(text: str, limit: int, piece_chars: int) -> int:
    """Find the next best place after `limit`: a clause, the end of the text, a space; failing all, between two characters."""
    clause = next((place for place in _clauses(text) if limit < place <= piece_chars), 0)
    if clause:
        return clause
    if len(text) <= piece_chars:
        return len(text)
    space = text.rfind(" ", 1, piece_chars + 1)
    if space > 0:
        return space
    place = piece_chars
    while place > 1 and unicodedata.combining(text[place]):
        place -= 1
    return place
