"""Figures -> a table in Markdown. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from benchmarks.dialogue.scoring import Ends, Manners, percentile

HALF, MOST = 0.5, 0.95


def ends_table(rows: Mapping[str, Mapping[str, Ends]]) -> str:
    """Write a table of turn ends: a row for each contender and each part of the clips."""
    head = ("contender", "clips", "turns", "false cut-offs per 100 pauses", "elsewhere", "missed ends", "decision after speech, p50 / p95")
    cells = [
        (
            name,
            part,
            str(ends.turns),
            f"{ends.cut_per_100:.0f} ({ends.cut} of {ends.pauses})",
            str(ends.elsewhere),
            str(ends.missed),
            _seconds(ends.delays_s),
        )
        for name, parts in rows.items()
        for part, ends in parts.items()
    ]
    return _table(head, cells)


def manners_table(rows: Mapping[str, Manners]) -> str:
    """Write a table of conversations in real time: a row for each contender."""
    head = (
        "contender", "false cut-offs per 100 pauses", "missed ends", "final text", "first token", "first audio", "interruptions obeyed",
        "backchannels ignored", "went on after a noise",
    )  # fmt: skip
    cells = [
        (
            name,
            f"{found.ends.cut_per_100:.0f} ({found.ends.cut} of {found.ends.pauses})",
            f"{found.ends.missed} of {found.ends.turns}",
            _seconds(found.text_s),
            _seconds(found.token_s),
            _seconds(found.sound_s),
            f"{_share(found.obeyed)}, {_seconds(found.stopped_s)}",
            _share(found.ignored),
            _share(found.went_on),
        )
        for name, found in rows.items()
    ]
    return _table(head, cells)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _seconds(values: Sequence[float]) -> str:
    half, most = percentile(values, HALF), percentile(values, MOST)
    return "-" if half is None or most is None else f"{half:.2f} / {most:.2f} s"


def _share(values: Sequence[bool]) -> str:
    return f"{sum(values)} of {len(values)}" if values else "-"
