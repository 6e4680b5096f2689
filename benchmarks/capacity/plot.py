"""A plot of lines as SVG, for light and dark pages."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

from benchmarks.plots import HEIGHT, MARGIN, WIDTH

COLOURS = ("#2563eb", "#d97706", "#059669", "#7c3aed", "#64748b", "#dc2626")
RIGHT, BOTTOM = WIDTH - 24, HEIGHT - MARGIN
TOP = MARGIN - 8

Line = Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Axis:
    """One axis, from `low` to `high`; with `is_log` both are powers of ten."""

    title: str
    low: float
    high: float
    is_log: bool = False
    unit: str = ""

    def place(self, value: float) -> float:
        """Return the place of a value, in [0, 1] for those on the axis."""
        if self.is_log:
            return (math.log10(value) - math.log10(self.low)) / (math.log10(self.high) - math.log10(self.low))
        return (value - self.low) / (self.high - self.low)

    def marks(self) -> list[float]:
        """Return the values that are labelled."""
        if self.is_log:
            return [10.0**power for power in range(round(math.log10(self.low)), round(math.log10(self.high)) + 1)]
        return [self.low + (self.high - self.low) * step / 5 for step in range(6)]

    def label(self, value: float) -> str:
        """Return the text of a mark."""
        return f"{value:,.0f}" if self.is_log or self.high - self.low >= 10 else f"{value:.1f}"


def plot(title: str, x: Axis, y: Axis, lines: Mapping[str, Line]) -> str:
    """Draw named lines; values above the y axis are cut off at its end."""
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
        'font-family="system-ui, sans-serif" font-size="13">',
        '<rect width="100%" height="100%" rx="8" fill="#fff"/>',
        f'<text x="16" y="26" font-weight="600">{escape(title)}</text>',
    ]
    for value in x.marks():
        at = MARGIN + x.place(value) * (RIGHT - MARGIN)
        parts.append(f'<path d="M{at:.0f} {TOP}V{BOTTOM}" stroke="#e2e8f0"/>')
        parts.append(f'<text x="{at:.0f}" y="{BOTTOM + 18}" text-anchor="middle">{x.label(value)}</text>')
    for value in y.marks():
        at = BOTTOM - y.place(value) * (BOTTOM - TOP)
        parts.append(f'<path d="M{MARGIN} {at:.0f}H{RIGHT}" stroke="#e2e8f0"/>')
        parts.append(f'<text x="{MARGIN - 8}" y="{at + 4:.0f}" text-anchor="end">{y.label(value)}{y.unit}</text>')
    parts.append(f'<path d="M{MARGIN} {TOP}V{BOTTOM}H{RIGHT}" fill="none" stroke="#64748b"/>')
    parts.append(f'<text x="{(MARGIN + RIGHT) // 2}" y="{HEIGHT - 18}" text-anchor="middle">{escape(x.title)}</text>')
    parts.append(f'<text x="{MARGIN}" y="{TOP - 10}">{escape(y.title)}</text>')
    # The names are where the lines do not begin.
    begins_high = sum(y.place(min(line[0][1], y.high)) for line in lines.values()) > len(lines) / 2
    first = BOTTOM - 18 * len(lines) if begins_high else TOP + 18
    for number, ((name, line), colour) in enumerate(zip(lines.items(), COLOURS, strict=False)):
        places = [(MARGIN + x.place(a) * (RIGHT - MARGIN), BOTTOM - min(1.0, y.place(min(b, y.high))) * (BOTTOM - TOP)) for a, b in line]
        path = " ".join(f"{a:.1f},{b:.1f}" for a, b in places)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [f'<circle cx="{a:.1f}" cy="{b:.1f}" r="3" fill="{colour}"/>' for a, b in places]
        at = first + 18 * number
        parts.append(f'<path d="M{MARGIN + 12} {at - 4}h18" stroke="{colour}" stroke-width="3"/>')
        parts.append(f'<text x="{MARGIN + 36}" y="{at}">{escape(name)}</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"
