"""Scores of a transcript against its text, and the table of `python -m benchmarks wer`. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import jiwer

from benchmarks.corpus import plain, word_errors
from benchmarks.tts_report import markdown

_DIGITS = "zero one two three four five six seven eight nine ten eleven twelve".split()
_SAME = {str(number): word for number, word in enumerate(_DIGITS)} | {"mr": "mister", "colour": "color"}
_END = ".?!…"
_OPENING, _CLOSING = "\"'([“‘-—", "\"')]”’"


@dataclass(frozen=True, slots=True)
class Score:
    """Number of errors in one transcript, or in several."""

    words: int = 0
    errors: int = 0
    """Substituted, missing and added words."""
    ends: int = 0
    """Sentence ends in the text."""
    wrong_ends: int = 0
    """Sentence ends that are missing or too many."""
    wrong_capitals: int = 0
    """Words that are right except for the case of their first letter."""

    def __add__(self, other: Score) -> Score:
        """Return the sum of both scores."""
        pairs = ((getattr(self, name), getattr(other, name)) for name in self.__dataclass_fields__)
        return Score(*(one + two for one, two in pairs))


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the table: the scores of this server and of the library, and the cost of both in seconds."""

    name: str
    clips: int
    audio_s: float
    ours: Score
    library: Score
    cpu_s: tuple[float, float]
    wall_s: tuple[float, float]
    unlike: int
    """Clips whose second transcript differs from the first."""


def score(text: str, transcript: str) -> Score:
    """Compare a transcript with its text. A text without punctuation counts as one sentence."""
    text, transcript = _unified(text), _unified(transcript)
    expected = _marked(text if any(mark in text for mark in _END) else text + ".")
    written = _marked(transcript)
    places = _aligned([word for word, _, _ in expected], [word for word, _, _ in written])
    wrong = sum(end != (at in places and written[places[at]][1]) for at, (_, end, _) in enumerate(expected))
    wrong += sum(end for at, (_, end, _) in enumerate(written) if at not in places.values())
    same = [(expected[one], written[other]) for one, other in places.items() if expected[one][0] == written[other][0] != "i"]
    # Capitals cannot be compared with a text in lower case.
    capitals = sum(one[2] != other[2] for one, other in same) if text != text.lower() else 0
    return Score(len(expected), word_errors(text, transcript), sum(end for _, end, _ in expected), wrong, capitals)


def table(rows: Sequence[Row]) -> str:
    """Return the table as Markdown; the last row is the sum."""
    body = [_cells(row) for row in rows]
    total = Row(
        "all",
        sum(row.clips for row in rows),
        sum(row.audio_s for row in rows),
        sum((row.ours for row in rows), Score()),
        sum((row.library for row in rows), Score()),
        (sum(row.cpu_s[0] for row in rows), sum(row.cpu_s[1] for row in rows)),
        (sum(row.wall_s[0] for row in rows), sum(row.wall_s[1] for row in rows)),
        sum(row.unlike for row in rows),
    )
    head = ["ours / library", "clips", "words", "errors", "sentence ends", "wrong ends", "wrong capitals", "CPU", "latency", "other text"]
    return markdown(head, [*body, _cells(total)])


def _cells(row: Row) -> list[str]:
    ours, library = row.ours, row.library
    return [
        row.name, str(row.clips), str(ours.words), f"{ours.errors} / {library.errors}", str(ours.ends),
        f"{ours.wrong_ends} / {library.wrong_ends}", f"{ours.wrong_capitals} / {library.wrong_capitals}",
        f"{row.cpu_s[0] / row.cpu_s[1]:.2f}", f"{row.wall_s[0] / row.wall_s[1]:.2f}", str(row.unlike),
    ]  # fmt: skip


def _unified(text: str) -> str:
    """Replace small numbers by words, and alternative spellings by one."""
    return re.sub(r"\w+", lambda word: _SAME.get(word[0].lower(), word[0]), text.replace("Mr.", "Mister"))


def _marked(text: str) -> list[tuple[str, bool, bool]]:
    """Return each plain word, whether a sentence ends after it, and whether it begins with a capital."""
    marked: list[tuple[str, bool, bool]] = []
    for token in text.split():
        words = plain(token).split()
        capital, end = token.lstrip(_OPENING)[:1].isupper(), token.rstrip(_CLOSING)[-1:] in tuple(_END)
        marked += [(word, end and word_at == len(words) - 1, capital and not word_at) for word_at, word in enumerate(words)]
    return marked


def _aligned(expected: Sequence[str], written: Sequence[str]) -> dict[int, int]:
    """Return the index of each expected word -> the index of the word written for it."""
    if not (expected and written):
        return {}
    chunks = jiwer.process_words(" ".join(expected), " ".join(written)).alignments[0]
    return {
        chunk.ref_start_idx + step: chunk.hyp_start_idx + step
        for chunk in chunks
        if chunk.type in ("equal", "substitute")
        for step in range(chunk.ref_end_idx - chunk.ref_start_idx)
    }
