"""Segments -> subtitle cues: lines no longer than a screen is wide, time enough to read them, a gap between them. Pure."""

from __future__ import annotations

import itertools
import math
import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from open_speech.transcript import Segment, Transcript

_WIDE = "\u3040-\u30fa\u30fc-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff66-\uff9f"
"""Japanese and Chinese script, which is written without spaces and may break after any character."""
_CLINGING = "、。，．！？：；」』）】〉》”’…ー"
"""What must not begin a line there."""
_WIDE_CHAR = re.compile(f"[{_WIDE}]")
_PIECE = re.compile(rf"(\s*)([{_WIDE}][{_CLINGING}]*|[^\s{_WIDE}]+)")
_SENTENCE_END = (".", "!", "?", "…", "。", "！", "？")
_CLAUSE_END = (",", ";", ":", "—", "–", "、", "，", "；", "：")
_QUOTES = "\"'”’»)]」』）"
_PAUSE_S = 0.5
"""A longer silence is heard as an end, whatever the punctuation says."""


@dataclass(frozen=True, slots=True)
class Shape:
    """How cues should look; the values of 0 and None leave that side of them alone."""

    line_width: int | None = None
    """Characters of a line at most."""
    line_count: int = 2
    """Lines of a cue at most; matters only with `line_width`."""
    reading_speed: float = 0.0
    """Characters per second: a cue stays as long as they need, as far as the next one lets it."""
    gap: float = 0.0
    """Seconds between two cues at least; a cue gives up half of its own time at most."""


@dataclass(frozen=True, slots=True)
class Cue:
    """What is shown for a while; times in seconds."""

    start: float
    end: float
    text: str
    """One or more lines, none of them blank."""
    speaker: str | None = None


def cues(transcript: Transcript, shape: Shape | None = None) -> list[Cue]:
    """Give the cues of a transcript in order: one for each segment that has text, or as many as the shape asks for."""
    spoken = [segment for segment in transcript.segments if segment.text.strip()]
    whole = [Cue(s.start, max(s.start, s.end), _lines(s.text), s.speaker) for s in spoken]
    if shape is None:
        return whole
    width = shape.line_width
    cut = whole if width is None else [cue for passage in _passages(spoken) for cue in _cut_to_lines(passage, width, shape.line_count)]
    return _timed(cut, shape, transcript.info.duration)


def _lines(text: str) -> str:
    """Strip every line and drop blank ones: a blank line would end the cue."""
    return "\n".join(line.strip() for line in text.splitlines() if line.strip())


@dataclass(frozen=True, slots=True)
class _Piece:
    """What no line breaks: a word, or one character of Chinese or Japanese."""

    text: str
    spaced: bool
    """Whether a space stands before it."""
    start: float
    end: float


def _passages(segments: Sequence[Segment]) -> list[list[Segment]]:
    """Join segments where a recogniser parted a sentence that was said in one go: its cuts are not a reader's."""
    passages: list[list[Segment]] = []
    for segment in segments:
        last = passages[-1][-1] if passages else None
        if last and last.speaker == segment.speaker and segment.start - last.end < _PAUSE_S and not _ends(last.text, _SENTENCE_END):
            passages[-1].append(segment)
        else:
            passages.append([segment])
    return passages


def _ends(text: str, marks: tuple[str, ...]) -> bool:
    return text.rstrip().rstrip(_QUOTES).endswith(marks)


def _cut_to_lines(passage: Sequence[Segment], width: int, lines: int) -> Iterator[Cue]:
    pieces = _Pieces(list(_narrow([piece for segment in passage for piece in _pieces(segment)], width)), width)
    for first, last in _cheapest(len(pieces.items), lambda start, end: pieces.cue_price(start, end, lines)):
        shown = _Pieces(pieces.items[first:last], width)
        text = "\n".join(shown.text(*line) for line in _cheapest(last - first, shown.line_price))
        yield Cue(shown.items[0].start, max(shown.items[0].start, shown.items[-1].end), text, passage[0].speaker)


def _pieces(segment: Segment) -> list[_Piece]:
    """Cut a segment where it may break, each piece with its time: its word's own, or its share by length."""
    timed = [(word.text, word.start, word.end) for word in segment.words]
    if "".join("".join(text for text, _, _ in timed).split()) != "".join(segment.text.split()):
        timed = [(segment.text, segment.start, segment.end)]
    pieces: list[_Piece] = []
    for text, start, end in timed:
        per_char = (end - start) / len(text) if text else 0.0
        for found in _PIECE.finditer(text):
            piece = _Piece(found[2], bool(found[1]), start + found.start() * per_char, start + found.end() * per_char)
            if pieces and _clings(piece, pieces[-1]):
                piece = replace(pieces[-1], text=pieces.pop().text + piece.text, end=piece.end)
            pieces.append(piece)
    return pieces


def _clings(piece: _Piece, before: _Piece) -> bool:
    """Tell whether a piece belongs to the one before it, as `-five` does to `twenty`."""
    if piece.spaced or _WIDE_CHAR.match(piece.text[0]):
        return False
    return piece.text[0] in _CLINGING or not _WIDE_CHAR.match(before.text[-1])


def _narrow(pieces: list[_Piece], width: int) -> Iterator[_Piece]:
    """Cut pieces that are wider than a line, but never between a letter and the mark that stands on it."""
    for piece in pieces:
        per_char = (piece.end - piece.start) / len(piece.text)
        at = 0
        while at < len(piece.text):
            end = min(at + width, len(piece.text))
            while end < len(piece.text) and end - at > 1 and unicodedata.category(piece.text[end]).startswith("M"):
                end -= 1
            times = piece.start + at * per_char, piece.start + end * per_char
            yield _Piece(piece.text[at:end], piece.spaced and at == 0, *times)
            at = end


class _Pieces:
    """Pieces with what it costs to show some of them together. A price of None means that they do not fit."""

    def __init__(self, items: list[_Piece], width: int) -> None:
        self.items = items
        self._width = width
        # Position of each piece's end, its space included: the length of a stretch is then one subtraction.
        self._ends = list(itertools.accumulate((len(p.text) + p.spaced for p in items), initial=0))
        self._reach = self._line_ends()

    def text(self, start: int, end: int) -> str:
        return "".join(" " * p.spaced + p.text for p in self.items[start:end]).lstrip()

    def line_price(self, start: int, end: int) -> float | None:
        """Few lines first, then lines of like length, then a break where the speaker would breathe."""
        length = self._length(start, end)
        if length > self._width:
            return None
        return 1 + (length / self._width) ** 2 + self._break_price(end) / 32

    def cue_price(self, start: int, end: int, lines: int) -> float | None:
        """Few cues first, but a cue more is well spent on ending at a sentence."""
        last = start
        for _ in range(lines):
            last = self._reach[last]
        if end > last:
            return None
        share = self._length(start, end) / (self._width * lines)
        return 1 + self._break_price(end) + max(0.0, 0.3 - share)

    def _length(self, start: int, end: int) -> int:
        return self._ends[end] - self._ends[start] - self.items[start].spaced

    def _line_ends(self) -> list[int]:
        """For each piece, where a line ends that begins with it and takes as much as it can."""
        ends, end = [], 0
        for start in range(len(self.items)):
            end = max(end, start + 1)
            while end < len(self.items) and self._length(start, end + 1) <= self._width:
                end += 1
            ends.append(end)
        return [*ends, len(self.items)]

    def _break_price(self, end: int) -> float:
        if end == len(self.items):
            return 0.0
        before = self.items[end - 1].text
        if _ends(before, _SENTENCE_END):
            return 0.0
        return 0.4 if _ends(before, _CLAUSE_END) else 1.0


def _cheapest(count: int, price: Callable[[int, int], float | None]) -> list[tuple[int, int]]:
    """Cut 0…count into the consecutive stretches whose prices have the least sum.

    A stretch of one must have a price; once a stretch has none, no longer one with the same end has.
    """
    best, begin = [0.0] + [math.inf] * count, [0] * (count + 1)
    for end in range(1, count + 1):
        for start in range(end - 1, -1, -1):
            cost = price(start, end)
            if cost is None:
                break
            if best[start] + cost < best[end]:
                best[end], begin[end] = best[start] + cost, start
    stretches = []
    while count:
        stretches.append((begin[count], count))
        count = begin[count]
    return stretches[::-1]


def _timed(cut: Sequence[Cue], shape: Shape, duration: float) -> list[Cue]:
    """Give each cue the time it takes to read, and keep it clear of the next one."""
    shown = []
    for at, cue in enumerate(cut):
        end = cue.end
        if shape.reading_speed:
            end = max(end, cue.start + len(cue.text) / shape.reading_speed)
        limit = cut[at + 1].start - shape.gap if at + 1 < len(cut) else max(duration, cue.end)
        shown.append(replace(cue, end=min(end, max(limit, (cue.start + cue.end) / 2))))
    return shown
