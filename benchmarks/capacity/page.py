"""docs/scale.md and its plots, from the saved results: `python -m benchmarks capacity --page`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.capacity import comparison
from benchmarks.capacity.costs import Costs
from benchmarks.capacity.plot import Axis, Line, plot
from benchmarks.plots import IMAGES
from benchmarks.served import ROOT

PAGE = ROOT / "docs/scale.md"
SECTIONS = ("costs", "check", "fleets", "gpu", "mixed")
"""Parts of the page between `<!-- NAME:begin -->` and `<!-- NAME:end -->` that the results determine."""
FLEETS = {
    "fleets": "2 CPU cores",
    "fleets, GPU, batches of 4": "GPU (assumed)",
    "fleets, GPU, batches of 16": "GPU (assumed), batches of 16",
}
MOST_S = 2.0
"""End of the axis of delays, in seconds."""

Rows = Sequence[Mapping[str, Any]]


def write(results: Mapping[str, Any]) -> None:
    """Write the plots, and the parts of the page that the results determine."""
    for name, svg in plots(results["studies"]).items():
        (IMAGES / name).write_text(svg, encoding="utf-8")
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8"), results), encoding="utf-8")


def page(text: str, results: Mapping[str, Any]) -> str:
    """Return the page with the results between its markers. Raises ValueError if a marker is missing."""
    for name in SECTIONS:
        begin, end = f"<!-- {name}:begin -->\n", f"<!-- {name}:end -->"
        head, found, rest = text.partition(begin)
        _, also, tail = rest.partition(end)
        if not (found and also):
            raise ValueError(f"docs/scale.md has no part `{name}`")
        text = head + begin + section(name, results) + "\n" + end + tail
    return text


def section(name: str, results: Mapping[str, Any]) -> str:
    """Return one part of the page as Markdown."""
    match name:
        case "costs":
            return costs_table(Costs.of(results["costs"]))
        case "check":
            return "\n".join([comparison.HEAD, *(comparison.row(comparison.Compared(**row)) for row in results["check"])])
        case "fleets":
            return fleets_table(results["studies"]["fleets"])
        case "gpu":
            return gpu_table(results["studies"])
        case _:
            return mixed_table(results["studies"]["mixed"])


def costs_table(costs: Costs) -> str:
    """Return the measured costs."""
    replica, front = costs.replica, costs.front
    rows = [
        ("A window of speech, alone", f"{replica.fixed_s:.3f} s and {replica.per_audio_s:.3f} s per second of its audio"),
        ("Spread of that", f"{replica.spread:.0%}"),
        ("Each further window of a batch", f"{replica.more:.0%} of the first"),
        ("Both workers busy", f"{replica.slowdown[-1]:.2f} times as long"),
        ("A partial pass of a live session", f"{replica.partial:.0%} of a final pass over the same audio"),
        ("Front: an upload", f"{1000 * front.request_s:.1f} ms and {1000 * front.upload_audio_s:.1f} ms per second of its audio"),
        ("Front: a live session", f"{1000 * front.live_audio_s:.1f} ms per second, in speech and in silence"),
    ]
    head = [f"{costs.source}. CPU time.", "", "| Work | Time |", "|---|---|"]
    return "\n".join([*head, *(f"| {name} | {value} |" for name, value in rows)])


def fleets_table(rows: Rows) -> str:
    """Return the fleets for many numbers of sessions."""
    lines = [
        "| Live sessions | Fronts | Replicas | Sessions per replica | 95 % of texts within | Partial passes made | Replicas busy |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        per = row["sessions"] / row["replicas"]
        cells = [f"{row['sessions']:,}", f"{row['fronts']:,}", f"{row['replicas']:,}", f"{per:.1f}", f"{row['p95_s']:.2f} s"]
        lines.append("| " + " | ".join([*cells, f"{row['partials']:.0%}", f"{row['replica_share']:.0%}"]) + " |")
    return "\n".join(lines)


def gpu_table(studies: Mapping[str, Rows]) -> str:
    """Return the replicas with an assumed GPU beside those without."""
    lines = ["| Live sessions | Fronts | " + " | ".join(f"Replicas: {name}" for name in FLEETS.values()) + " |"]
    lines.append("|---" * (2 + len(FLEETS)) + "|")
    for number, row in enumerate(studies["fleets"]):
        replicas = [f"{studies[name][number]['replicas']:,}" for name in FLEETS]
        lines.append("| " + " | ".join([f"{row['sessions']:,}", f"{row['fronts']:,}", *replicas]) + " |")
    return "\n".join(lines)


def mixed_table(rows: Rows) -> str:
    """Return the replicas for sessions and files together."""
    lines = [
        "| Live sessions | Hours of files per hour | Fronts | Replicas | 95 % of texts within | Replicas busy |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        within = f"{row['p95_s']:.2f} s" if row["sessions"] else "–"
        cells = [
            f"{row['sessions']:,}",
            f"{row['hours']:,}",
            f"{row['fronts']:,}",
            f"{row['replicas']:,}",
            within,
            f"{row['replica_share']:.0%}",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def plots(studies: Mapping[str, Rows]) -> dict[str, str]:
    """Return the plots, by file name."""
    sessions = Axis("Live sessions", 10, 10_000, is_log=True)
    fleets: dict[str, Line] = {"Fronts": [(row["sessions"], row["fronts"]) for row in studies["fleets"]]}
    fleets |= {f"Replicas: {label}": [(row["sessions"], row["replicas"]) for row in studies[name]] for name, label in FLEETS.items()}
    delay = Axis("95 % of texts within", 0, MOST_S, unit=" s")
    replicas = Axis("Replicas, with 8 live sessions each", 1, 100, is_log=True)
    share = Axis("Partial passes made, of those that an idle fleet makes", 0, 100, unit=" %")
    pooling, bounds = (percent(lines_of(studies[name], "partials")) for name in ("pooling", "partials"))
    return {
        "scale-fleets.svg": plot("Fronts and replicas for live sessions", sessions, Axis("Processes", 1, 10_000, is_log=True), fleets),
        "scale-pooling.svg": plot("Texts while the user speaks", Axis("Live sessions per replica", 0, 30), share, pooling),
        "scale-dispatch.svg": plot(
            "Short uploads, 32 replicas", Axis("Uploads per second and replica", 0, 15), delay, lines_of(studies["dispatches"])
        ),
        "scale-partials.svg": plot("Texts while the user speaks, by the bound on live passes in progress", replicas, share, bounds),
    }


def lines_of(points: Rows, value: str = "p95_s") -> dict[str, Line]:
    """Group points into lines by their names."""
    found: dict[str, list[tuple[float, float]]] = {}
    for point in points:
        found.setdefault(point["name"], []).append((point["x"], point[value]))
    return dict(found)


def percent(lines: Mapping[str, Line]) -> dict[str, Line]:
    """Return lines of shares as lines of percent, at most 100: a run may begin within utterances whose passes it counts."""
    return {name: [(x, min(100.0, 100 * share)) for x, share in line] for name, line in lines.items()}
