"""Results of the speech-to-text benchmark as values, and their tables. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from benchmarks.corpus import Clip

SHORT_S = (2.5, 10.5)
"""Range in seconds of the clips that count as 3 to 10 s long."""


@dataclass(frozen=True, slots=True)
class Cost:
    """Cost of some work, and the length of its audio, in seconds."""

    wall: float
    cpu: float
    audio: float


@dataclass(slots=True)
class Result:
    """Results of one contender."""

    name: str
    errors: dict[str, int] = field(default_factory=dict)
    """Clip -> word errors."""
    costs: dict[str, list[Cost]] = field(default_factory=dict)
    """Clip -> cost of each transcription, one at a time."""
    throughput: dict[int, Cost] = field(default_factory=dict)
    memory_mb: float = 0.0


@dataclass(frozen=True, slots=True)
class LongResult:
    """Result of one contender on a long recording."""

    name: str
    cost: Cost
    errors: int
    words: int
    memory_mb: float
    """Peak memory in MB."""
    first_s: float | None = None
    """Seconds to the first piece of text, if the response is streamed."""


def median(costs: list[Cost]) -> Cost:
    """Return the median of each field separately."""
    return Cost(*(statistics.median(getattr(cost, part) for cost in costs) for part in ("wall", "cpu", "audio")))


def tables(results: Sequence[Result], clips: Sequence[Clip]) -> str:
    """Return all tables as Markdown; the first result is this server's on the peers' model, ratios are to the second, the raw library."""
    return "\n\n".join((_summary(results, clips), _latency(results, clips), _throughput(results), _by_clip(results, clips)))


def long_table(results: Sequence[LongResult]) -> str:
    """Return the table of a long recording as Markdown."""
    rows = [
        (
            one.name, f"{one.cost.wall:.0f}", f"{one.cost.cpu:.0f}", f"{one.cost.audio / one.cost.wall:.1f}",
            f"{one.first_s:.1f}" if one.first_s else "–", f"{one.memory_mb:.0f}", f"{100 * one.errors / one.words:.1f}",
        )
        for one in results
    ]  # fmt: skip
    minutes = results[0].cost.audio / 60
    head = ("", "s", "CPU s", "× real time", "first text, s", "most memory, MB", "word errors, %")
    return f"One recording of {minutes:.0f} minutes, speech and silence:\n\n{_table(head, rows)}"


def _summary(results: Sequence[Result], clips: Sequence[Clip]) -> str:
    words, audio_s = sum(clip.words for clip in clips), sum(clip.seconds for clip in clips)
    rows = [
        (
            one.name,
            f"{100 * sum(one.errors.values()) / words:.1f}",
            str(max(one.errors[clip.name] for clip in clips)),
            f"{sum(median(costs).cpu for costs in one.costs.values()) / audio_s:.3f}",
            f"{one.memory_mb:.0f}",
        )
        for one in results
    ]
    head = ("", "word errors, %", "most in a clip", "CPU s per audio s", "memory, MB")
    return f"{len(clips)} clips, {audio_s:.0f} s, {words} words, one at a time:\n\n{_table(head, rows)}"


def _latency(results: Sequence[Result], clips: Sequence[Clip]) -> str:
    lengths = sorted(clips, key=lambda clip: clip.seconds)
    short = [clip for clip in lengths if SHORT_S[0] <= clip.seconds < SHORT_S[1]]

    def rows(part: Callable[[Cost], float]) -> Iterable[tuple[str, ...]]:
        values = {(one.name, clip.name): part(median(one.costs[clip.name])) for one in results for clip in clips}

        def ratio(one: Result, clip: Clip) -> float:
            return values[one.name, clip.name] / values[results[1].name, clip.name]

        for clip in lengths:
            cells = [f"{values[one.name, clip.name]:.2f} ({ratio(one, clip):.2f})" for one in results]
            yield (clip.name[-16:], f"{clip.seconds:.1f}", *cells)
        for name, over in (("their mean ratio", statistics.fmean), ("their highest ratio", max)):
            yield (name, "3 to 10", *(f"{over([ratio(one, clip) for clip in short]):.2f}" for one in results))

    names = [one.name for one in results]
    wall = _table(("seconds to the text", "s", *names), rows(lambda cost: cost.wall))
    cpu = _table(("CPU seconds", "s", *names), rows(lambda cost: cost.cpu))
    return f"Clips one at a time, medians, in brackets against {results[1].name}:\n\n{wall}\n\n{cpu}"


def _throughput(results: Sequence[Result]) -> str:
    levels = list(results[0].throughput)

    def rows(part: Callable[[Cost], float]) -> Iterable[tuple[str, ...]]:
        raw = [part(results[1].throughput[level]) for level in levels]
        for one in results:
            values = [part(one.throughput[level]) for level in levels]
            yield (one.name, *(f"{value:.1f} ({value / of:.1f} ×)" for value, of in zip(values, raw, strict=True)))

    head = [f"{level} caller{'s' * (level > 1)}" for level in levels]
    wall = _table(("audio s per s", *head), rows(lambda cost: cost.audio / cost.wall))
    cpu = _table(("audio s per CPU s", *head), rows(lambda cost: cost.audio / cost.cpu))
    return f"Callers of mixed short clips at once:\n\n{wall}\n\n{cpu}"


def _by_clip(results: Sequence[Result], clips: Sequence[Clip]) -> str:
    rows = [(clip.name[-16:], f"{clip.seconds:.1f}", str(clip.words), *(str(one.errors[clip.name]) for one in results)) for clip in clips]
    return "Word errors of each clip:\n\n" + _table(("clip", "s", "words", *(one.name for one in results)), rows)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table whose columns are also aligned as plain text."""
    cells = [head, *rows]
    widths = [max(len(row[column]) for row in cells) for column in range(len(head))]
    lines = [" | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in cells]
    rule = "|".join("-" * (width + 2) for width in widths)
    return "\n".join([f"| {lines[0]} |", f"|{rule}|", *(f"| {line} |" for line in lines[1:])])
