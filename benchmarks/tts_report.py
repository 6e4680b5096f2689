"""Results of the text-to-speech benchmark as values, and their tables. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

Length = Literal["sentence", "paragraph", "clause"]


@dataclass(frozen=True, slots=True)
class Timing:
    """Times of the synthesis of one text, in seconds."""

    first: float
    """To the first byte of audio."""
    whole: float
    """To the last byte."""
    audio: float
    """Length of the audio."""
    cpu: float = 0.0
    """User and system time of all processes of the contender."""


@dataclass(slots=True)
class Result:
    """Results of one contender."""

    name: str
    timings: dict[Length, list[Timing]] = field(default_factory=dict)

    def first(self, length: Length) -> float:
        """Return the median seconds to the first byte."""
        return statistics.median(one.first for one in self.timings[length])

    def whole(self, length: Length) -> float:
        """Return the median seconds to the last byte."""
        return statistics.median(one.whole for one in self.timings[length])

    def cpu(self, length: Length) -> float:
        """Return the mean CPU seconds of all calls, because the clock, which ticks every 10 ms, is accurate only in the sum."""
        return statistics.fmean(one.cpu for one in self.timings[length])

    def cpu_per_audio_s(self, length: Length) -> float:
        """Return the CPU seconds per second of audio."""
        return self.cpu(length) / statistics.fmean(one.audio for one in self.timings[length])


@dataclass(frozen=True, slots=True)
class Race:
    """Results of all contenders on the same weights: this server first, then the raw library, then the others."""

    title: str
    clause: str
    """This server's first piece of the paragraph, which the raw library also synthesizes alone."""
    results: Sequence[Result]


def tables(races: Sequence[Race], words: tuple[int, int]) -> str:
    """Return all tables as Markdown; `words` are the numbers of words in the sentence and the paragraph."""
    return "\n\n".join(table(race, words) for race in races)


def table(race: Race, words: tuple[int, int]) -> str:
    """Return the table of one race, and the ratios that the goals refer to."""
    ours, raw, *_ = race.results
    lengths: tuple[Length, Length] = ("sentence", "paragraph")
    head = ["", *(f"{count} words: {what}" for count in words for what in ("first audio, s", "whole, s", "CPU s per audio s"))]
    rows = [
        [
            one.name,
            *(
                f"{value(one, length):.3f} ({value(one, length) / value(raw, length):.2f})"
                for length in lengths
                for value in (Result.first, Result.whole, Result.cpu_per_audio_s)
            ),
        ]
        for one in race.results
    ]
    rows.append([f"{raw.name}, first clause alone", "", "", "", f"{raw.first('clause'):.3f}", "", ""])
    goals = (
        f"First audio of the paragraph: {ours.first('paragraph') / raw.first('clause'):.2f} × the raw engine's time for its first clause "
        f"({len(race.clause.split())} words). CPU seconds for the same text: "
        + ", ".join(f"{ours.cpu(length) / raw.cpu(length):.2f} × for the {length}" for length in lengths)
        + "."
    )
    return f"{race.title}, medians, in brackets against {raw.name}:\n\n{markdown(head, rows)}\n\n{goals}"


def markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table whose columns are also aligned as plain text."""
    cells = [head, *rows]
    widths = [max(len(row[column]) for row in cells) for column in range(len(head))]
    lines = [" | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in cells]
    rule = "|".join("-" * (width + 2) for width in widths)
    return "\n".join([f"| {lines[0]} |", f"|{rule}|", *(f"| {line} |" for line in lines[1:])])
