"""Sentences -> pieces that start early and sound whole, from text as it comes. Pure: no model, no language data."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator

from sentence_stream import SentenceBoundaryDetector

from open_speech.text.breath_groups import breath
from open_speech.text.cleanup import CLOSERS, closed, says_something

TINY_CHARS = 24
"""A sentence shorter than this sounds clipped when it is spoken by itself, so it is joined with the next."""
SLICE_CHARS = 4096
"""A longer line is read in slices: the time to find its sentences grows with the square of what is looked at."""

_CLAUSE_END = re.compile(
    rf"(?:[,;:،؛…!?]|(?<=[^\W\d_]{{2}})\.)[{re.escape(CLOSERS)}]*\s|(?<!\d)\s(?=[—–])|\s(?=\()|(?<!\d\s)[—–]\s"
    rf"|[，、；：。！？][{re.escape(CLOSERS)}]*"
)
"""A full stop counts after two letters only: `p.m.` and `3.` do not end a clause. A dash after a figure may stand in a range."""
_SHORTENED = re.compile(r"(?:^|\s)(?:Prof|Capt|Gen|Sen|Gov|Sgt|Rev|Hon|vs|etc|approx|[ap]\.m|a\.k\.a|e\.g|i\.e|z\.B)\.$")
"""Longer than the three letters by which the library knows an abbreviation."""
_FIGURE_BEFORE, _FIGURE_AFTER = re.compile(r"\d(?: ?[-—–])?$"), re.compile(r"(?:[-—–] ?)?\d")
_ASTERISK = "\ue000"
"""The library strips asterisks as markdown, but here they are text, and none may be lost."""


def pieces(text: str, *, first_chars: int, piece_chars: int) -> list[str]:
    """Cut one line of text as a Cutter does. Empty when the text says nothing."""
    cutter = Chunker(first_chars=first_chars, piece_chars=piece_chars)
    return [*cutter.feed([" ".join(text.split())]), *cutter.flush()]


class Chunker:
    """Cuts text at sentence ends into pieces of at most `piece_chars` characters; no word is lost, and none is cut unless it is longer.

    The first piece is cut at a clause near `first_chars`, and the limit doubles with every piece: each is ready before the one ahead
    of it has been heard. Tiny sentences are joined with the next. A sentence that is not complete yet is cut when it is too long.
    """

    def __init__(self, *, first_chars: int, piece_chars: int, breath_chars: int = 0, say: Callable[[str], str] = str) -> None:
        """`say` rewrites a sentence as it is to be spoken, before its length counts; it may be set anew after a flush.

        A first sentence longer than `breath_chars` is cut within them, at a clause or else before a group of words (breath_groups.py), by
        the language that `language` names when the text arrives; 0 turns this off. Raises ValueError unless 0 < first_chars <= piece_chars.
        """
        if not 0 < first_chars <= piece_chars:
            raise ValueError(f"first_chars {first_chars} is not in [1, {piece_chars}]")
        self.say = say
        self.language = ""
        self._breath_chars = breath_chars
        self._first_chars = first_chars
        self._piece_chars = piece_chars
        self._detector = SentenceBoundaryDetector()
        self._held = ""
        self._rest = ""
        self._count = 0

    @property
    def waiting(self) -> str:
        """What was fed and is no complete sentence yet."""
        unread = (self._detector.current_sentence + self._detector.remaining_text).lstrip()
        return _join(self._held, unread).replace(_ASTERISK, "*")

    def feed(self, lines: Iterable[str]) -> Iterator[str]:
        """Add the parts that a Cleaner gave, take the pieces that are complete."""
        for number, line in enumerate(lines):
            if number:
                yield from self._end_line()
            for start in range(0, len(line), SLICE_CHARS):
                for sentence in self._detector.add_chunk(line[start : start + SLICE_CHARS].replace("*", _ASTERISK)):
                    yield from self._sentence(sentence)
                yield from self._too_long()

    def flush(self) -> Iterator[str]:
        """Take the rest: what follows begins a sentence of its own."""
        rest, self._held = _join(self._held, self._detector.finish()), ""
        yield from self._add(rest)
        yield from self._emit(self._rest)
        self._rest = ""

    @property
    def _limit(self) -> int:
        return min(self._piece_chars, self._first_chars << min(self._count, 16))

    def _end_line(self) -> Iterator[str]:
        rest, self._held = _join(self._held, self._detector.finish()), ""
        if says_something(rest):
            yield from self._add(closed(rest))

    def _sentence(self, sentence: str) -> Iterator[str]:
        self._held = _join(self._held, sentence)
        if not _SHORTENED.search(self._held):
            done, self._held = self._held, ""
            yield from self._add(done)

    def _add(self, sentence: str) -> Iterator[str]:
        if not sentence:
            return
        tiny = len(self._rest)
        rest = _join(self._rest, self.say(" ".join(sentence.replace(_ASTERISK, "*").split())))
        if self._count == 0 and 0 < self._breath_chars < len(rest):
            # Half of the sentence, if there is a place: what is heard first costs less than what follows.
            half, longest = len(rest) // 2, self._breath_chars
            place = _clause(rest, longest) or next(
                filter(None, (breath(rest, self.language, TINY_CHARS, most) for most in (min(half, longest), longest))), 0
            )
            if place:
                yield from self._emit(rest[:place].rstrip())
                rest, tiny = rest[place:].lstrip(), 0
        while len(rest) > (limit := self._limit):
            # Nothing has been heard yet: a tiny sentence goes out by itself rather than wait for a long one.
            place = _clause(rest, limit) or (0 if self._count else tiny) or _later(rest, limit, self._piece_chars)
            yield from self._emit(rest[:place].rstrip())
            rest, tiny = rest[place:].lstrip(), 0
        if len(rest) >= TINY_CHARS:
            yield from self._emit(rest)
            rest = ""
        self._rest = rest

    def _too_long(self) -> Iterator[str]:
        """Cut a sentence that still goes on, at a clause if there is one within the limit."""
        while len(waiting := self.waiting) > (room := max(self._limit - len(self._rest) - 1, TINY_CHARS)):
            place = _clause(waiting, room) or (_later(waiting, room, self._piece_chars) if len(waiting) > self._piece_chars else 0)
            if not place:
                if self._count == 0:
                    yield from self._emit(self._rest)
                    self._rest = ""
                return
            self._held = ""
            self._detector.finish()
            yield from self._add(waiting[:place].rstrip())
            for sentence in self._detector.add_chunk(waiting[place:].lstrip().replace("*", _ASTERISK)):
                yield from self._sentence(sentence)

    def _emit(self, piece: str) -> Iterator[str]:
        if says_something(piece):
            self._count += 1
            yield piece


def _join(first: str, second: str) -> str:
    return f"{first} {second}" if first and second else first or second


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
    while space > 0 and _FIGURE_BEFORE.search(text[max(0, space - 3) : space]) and _FIGURE_AFTER.match(text[space + 1 : space + 4]):
        space = text.rfind(" ", 1, space)  # the groups of one number stay together, and so do the ends of a range
    if space > 0:
        return space
    place = piece_chars
    while place > 1 and unicodedata.combining(text[place]):
        place -= 1
    return place
