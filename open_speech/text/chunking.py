"""Splits text, as it arrives, into pieces for synthesis: a short first piece, then whole sentences. Pure: no model, no language data."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator

from sentence_stream import SentenceBoundaryDetector

from open_speech.text.breath_groups import breath
from open_speech.text.cleanup import CLOSERS, closed, says_something

TINY_CHARS = 24
"""Sentences shorter than this sound clipped when they are synthesized alone, so they are joined with the next one."""
SLICE_CHARS = 4096
"""Longer lines are processed in slices: the time to find sentences grows with the square of the length."""

_CLAUSE_END = re.compile(
    rf"(?:[,;:،؛…!?]|(?<=[^\W\d_]{{2}})\.)[{re.escape(CLOSERS)}]*\s|(?<!\d)\s(?=[—–])|\s(?=\()|(?<!\d\s)[—–]\s"
    rf"|[，、；：。！？][{re.escape(CLOSERS)}]*"
)
"""A full stop counts only after two letters: `p.m.` and `3.` do not end a clause. A dash after a digit may be part of a range."""
_ABBREVIATION = re.compile(r"(?:^|\s)(?:Prof|Capt|Gen|Sen|Gov|Sgt|Rev|Hon|vs|etc|approx|[ap]\.m|a\.k\.a|e\.g|i\.e|z\.B)\.$")
"""Abbreviations that the library does not detect, which expects at most three letters."""
_DIGIT_BEFORE, _DIGIT_AFTER = re.compile(r"\d(?: ?[-—–])?$"), re.compile(r"(?:[-—–] ?)?\d")
_ASTERISK = "\ue000"
"""Replaces asterisks, which the library strips as markdown; here they are text and must be kept."""


def pieces(text: str, *, first_chars: int, piece_chars: int) -> list[str]:
    """Split one line of text as a Chunker does. Empty if the text has no words."""
    chunker = Chunker(first_chars=first_chars, piece_chars=piece_chars)
    return [*chunker.feed([" ".join(text.split())]), *chunker.flush()]


class Chunker:
    """Splits text at sentence ends into pieces of at most `piece_chars` characters. No word is lost; only words above the limit are split.

    The first piece ends at a clause near `first_chars`, and the limit doubles with every piece, so that each piece is synthesized before
    the previous one has been played. Tiny sentences are joined with the next one. An incomplete sentence is split when it becomes too long.
    """

    def __init__(self, *, first_chars: int, piece_chars: int, breath_chars: int = 0, say: Callable[[str], str] = str) -> None:
        """`say` rewrites a sentence to its spoken form, before its length is measured; it may be changed after a flush.

        A first sentence longer than `breath_chars` is split within them, at a clause or else at a breath group (breath_groups.py) of the
        language in `language` when the text arrives; 0 disables this. Raises ValueError unless 0 < first_chars <= piece_chars.
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
        """The text that was fed and is not a complete sentence yet."""
        unread = (self._detector.current_sentence + self._detector.remaining_text).lstrip()
        return _join(self._held, unread).replace(_ASTERISK, "*")

    def feed(self, lines: Iterable[str]) -> Iterator[str]:
        """Add the lines of a Cleaner; yield the pieces that are complete."""
        for number, line in enumerate(lines):
            if number:
                yield from self._end_line()
            for start in range(0, len(line), SLICE_CHARS):
                for sentence in self._detector.add_chunk(line[start : start + SLICE_CHARS].replace("*", _ASTERISK)):
                    yield from self._sentence(sentence)
                yield from self._too_long()

    def flush(self) -> Iterator[str]:
        """Yield the remaining pieces; later text begins a new sentence."""
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
        if not _ABBREVIATION.search(self._held):
            done, self._held = self._held, ""
            yield from self._add(done)

    def _add(self, sentence: str) -> Iterator[str]:
        if not sentence:
            return
        tiny = len(self._rest)
        rest = _join(self._rest, self.say(" ".join(sentence.replace(_ASTERISK, "*").split())))
        if self._count == 0 and 0 < self._breath_chars < len(rest):
            # Half of the sentence, if it can be split there: the first piece should take less time than the rest.
            half, longest = len(rest) // 2, self._breath_chars
            place = _clause(rest, longest) or next(
                filter(None, (breath(rest, self.language, TINY_CHARS, most) for most in (min(half, longest), longest))), 0
            )
            if place:
                yield from self._emit(rest[:place].rstrip())
                rest, tiny = rest[place:].lstrip(), 0
        while len(rest) > (limit := self._limit):
            # Before the first piece, a tiny sentence is sent alone, so that it does not wait for a long one.
            place = _clause(rest, limit) or (0 if self._count else tiny) or _later(rest, limit, self._piece_chars)
            yield from self._emit(rest[:place].rstrip())
            rest, tiny = rest[place:].lstrip(), 0
        if len(rest) >= TINY_CHARS:
            yield from self._emit(rest)
            rest = ""
        self._rest = rest

    def _too_long(self) -> Iterator[str]:
        """Split an incomplete sentence, at a clause if there is one within the limit."""
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
    """Yield the positions where a clause ends and more text follows."""
    for found in _CLAUSE_END.finditer(text):
        place = found.end()
        # A full stop before a capital letter was already checked by the sentence splitter: this one belongs to an abbreviation.
        if place < len(text) and not (found[0][0] == "." and text[place].isupper()):
            yield place


def _clause(text: str, limit: int) -> int:
    """Return the last end of a clause within `limit` characters that leaves no tiny piece; 0 if there is none."""
    return max((place for place in _clauses(text) if TINY_CHARS <= place <= limit), default=0)


def _later(text: str, limit: int, piece_chars: int) -> int:
    """Return the best position after `limit`: a clause, the end of the text, a space, or else between two characters."""
    clause = next((place for place in _clauses(text) if limit < place <= piece_chars), 0)
    if clause:
        return clause
    if len(text) <= piece_chars:
        return len(text)
    space = text.rfind(" ", 1, piece_chars + 1)
    while space > 0 and _DIGIT_BEFORE.search(text[max(0, space - 3) : space]) and _DIGIT_AFTER.match(text[space + 1 : space + 4]):
        space = text.rfind(" ", 1, space)  # the digit groups of a number stay together, as do the ends of a range
    if space > 0:
        return space
    place = piece_chars
    while place > 1 and unicodedata.combining(text[place]):
        place -= 1
    return place
