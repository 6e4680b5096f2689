"""Segments -> subtitle cues: a maximum line width, enough time to read, a gap between cues. Pure."""

from __future__ import annotations

import itertools
import math
import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from open_speech.transcript import Segment, Transcript

_WIDE = "\u3040-\u30fa\u30fc-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff66-\uff9f"
"""Japanese and Chinese characters, which are written without spaces; a line may break after any of them."""
_NO_LINE_START = "、。，．！？：；」』）】〉》”’…ー"
"""Punctuation that must not begin a line in these scripts."""
_WIDE_CHAR = re.compile(f"[{_WIDE}]")
_PIECE = re.compile(rf"(\s*)([{_WIDE}][{_NO_LINE_START}]*|[^\s{_WIDE}]+)")
_SENTENCE_END = (".", "!", "?", "…", "。", "！", "？")
_CLAUSE_END = (",", ";", ":", "—", "–", "、", "，", "；", "：")
_QUOTES = "\"'”’»)]」』）"
_PAUSE_S = 0.5
"""Seconds of silence that end a passage, whatever the punctuation."""


@dataclass(frozen=True, slots=True)
class Shape:
    """The layout of cues; 0 and None disable a constraint."""

    line_width: int | None = None
    """Maximum characters per line."""
    line_count: int = 2
    """Maximum lines per cue; used only with `line_width`."""
    reading_speed: float = 0.0
    """Characters per second: a cue is shown as long as its text takes to read, or until the next one."""
    gap: float = 0.0
    """Minimum seconds between two cues; a cue is shortened by at most half of its time."""


@dataclass(frozen=True, slots=True)
class Cue:
    """One subtitle; times in seconds."""

    start: float
    end: float
    text: str
    """One or more lines, none of them blank."""
    speaker: str | None = None


def cues(transcript: Transcript, shape: Shape | None = None) -> list[Cue]:
    """Return the cues of a transcript in order: one for each segment that has text, or as many as the shape requires."""
    segments = [segment for segment in transcript.segments if segment.text.strip()]
    whole = [Cue(s.start, max(s.start, s.end), _lines(s.text), s.speaker) for s in segments]
    if shape is None:
        return whole
    width = shape.line_width
    cut = whole if width is None else [cue for passage in _passages(segments) for cue in _cut_to_lines(passage, width, shape.line_count)]
    return _timed(cut, shape, transcript.info.duration)


def _lines(text: str) -> str:
    """Strip every line and drop blank ones: a blank line would end the cue."""
    return "\n".join(line.strip() for line in text.splitlines() if line.strip())


@dataclass(frozen=True, slots=True)
class _Piece:
    """An unbreakable piece of text: a word, or one Chinese or Japanese character."""

    text: str
    spaced: bool
    """Whether a space precedes the piece."""
    start: float
    end: float


def _passages(segments: Sequence[Segment]) -> list[list[Segment]]:
    """Join segments that a recognizer split within a sentence: lines of subtitles should break elsewhere."""
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
    for first, last in _cheapest(len(pieces.items), lambda start, end: pieces.cue_cost(start, end, lines)):
        shown = _Pieces(pieces.items[first:last], width)
        text = "\n".join(shown.text(*line) for line in _cheapest(last - first, shown.line_cost))
        yield Cue(shown.items[0].start, max(shown.items[0].start, shown.items[-1].end), text, passage[0].speaker)


def _pieces(segment: Segment) -> list[_Piece]:
    """Split a segment where it may break. A piece has the time of its word, or a share of the segment by length."""
    timed = [(word.text, word.start, word.end) for word in segment.words]
    if "".join("".join(text for text, _, _ in timed).split()) != "".join(segment.text.split()):
        timed = [(segment.text, segment.start, segment.end)]
    pieces: list[_Piece] = []
    for text, start, end in timed:
        per_char = (end - start) / len(text) if text else 0.0
        for found in _PIECE.finditer(text):
            piece = _Piece(found[2], bool(found[1]), start + found.start() * per_char, start + found.end() * per_char)
            if pieces and _is_attached(piece, pieces[-1]):
                piece = replace(pieces[-1], text=pieces.pop().text + piece.text, end=piece.end)
            pieces.append(piece)
    return pieces


def _is_attached(piece: _Piece, before: _Piece) -> bool:
    """Return whether a piece belongs to the one before it, as `-five` does to `twenty`."""
    if piece.spaced or _WIDE_CHAR.match(piece.text[0]):
        return False
    return piece.text[0] in _NO_LINE_START or not _WIDE_CHAR.match(before.text[-1])


def _narrow(pieces: list[_Piece], width: int) -> Iterator[_Piece]:
    """Split pieces that are wider than a line, but never between a letter and its combining mark."""
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
    """Pieces, with the cost of showing some of them together. A cost of None means that they do not fit."""

    def __init__(self, items: list[_Piece], width: int) -> None:
        self.items = items
        self._width = width
        # Position of each piece's end, its space included: the length of a range is then one subtraction.
        self._ends = list(itertools.accumulate((len(p.text) + p.spaced for p in items), initial=0))
        self._reach = self._line_ends()

    def text(self, start: int, end: int) -> str:
        return "".join(" " * p.spaced + p.text for p in self.items[start:end]).lstrip()

    def line_cost(self, start: int, end: int) -> float | None:
        """Return the cost of a line: prefers few lines, then lines of similar length, then breaks at punctuation."""
        length = self._length(start, end)
        if length > self._width:
            return None
        return 1 + (length / self._width) ** 2 + self._break_cost(end) / 32

    def cue_cost(self, start: int, end: int, lines: int) -> float | None:
        """Return the cost of a cue: prefers few cues, but accepts one more to end at a sentence."""
        last = start
        for _ in range(lines):
            last = self._reach[last]
        if end > last:
            return None
        share = self._length(start, end) / (self._width * lines)
        return 1 + self._break_cost(end) + max(0.0, 0.3 - share)

    def _length(self, start: int, end: int) -> int:
        return self._ends[end] - self._ends[start] - self.items[start].spaced

    def _line_ends(self) -> list[int]:
        """Return, for each piece, the end of the longest line that begins with it."""
        ends, end = [], 0
        for start in range(len(self.items)):
            end = max(end, start + 1)
            while end < len(self.items) and self._length(start, end + 1) <= self._width:
                end += 1
            ends.append(end)
        return [*ends, len(self.items)]

    def _break_cost(self, end: int) -> float:
        if end == len(self.items):
            return 0.0
        before = self.items[end - 1].text
        if _ends(before, _SENTENCE_END):
            return 0.0
        return 0.4 if _ends(before, _CLAUSE_END) else 1.0


def _cheapest(count: int, cost: Callable[[int, int], float | None]) -> list[tuple[int, int]]:
    """Split 0…count into consecutive ranges with the lowest total cost.

    A range of one must have a cost. If a range has none, longer ranges with the same end have none either.
    """
    best, begin = [0.0] + [math.inf] * count, [0] * (count + 1)
    for end in range(1, count + 1):
        for start in range(end - 1, -1, -1):
            range_cost = cost(start, end)
            if range_cost is None:
                break
            if best[start] + range_cost < best[end]:
                best[end], begin[end] = best[start] + range_cost, start
    ranges = []
    while count:
        ranges.append((begin[count], count))
        count = begin[count]
    return ranges[::-1]


def _timed(cut: Sequence[Cue], shape: Shape, duration: float) -> list[Cue]:
    """Extend each cue to the time it takes to read, and keep the gap before the next one."""
    shown = []
    for at, cue in enumerate(cut):
        end = cue.end
        if shape.reading_speed:
            end = max(end, cue.start + len(cue.text) / shape.reading_speed)
        limit = cut[at + 1].start - shape.gap if at + 1 < len(cut) else max(duration, cue.end)
        shown.append(replace(cue, end=min(end, max(limit, (cue.start + cue.end) / 2))))
    return shown
