"""The page docs/benchmarks.md and its pictures, from the saved results: `python -m benchmarks.plots`."""

from __future__ import annotations

from xml.sax.saxutils import escape

from benchmarks.recognizers import Run, table
from benchmarks.served import ROOT

PAGE = ROOT / "docs/benchmarks.md"
IMAGES = ROOT / "docs/images"
BEGIN, END = "<!-- recognizers:begin -->\n", "<!-- recognizers:end -->"
WIDTH, HEIGHT, MARGIN = 680, 380, 64
"""Pixels of the plot, and of the space for its axes."""


def plot(found: Run) -> str:
    """Draw word errors over CPU time per second of audio, one point per recognizer, as SVG for light and dark pages."""
    points = [(row.model.removeprefix("Systran/"), row.cpu_s / found.audio_s, 100 * row.errors / row.words) for row in found.rows]
    most_cpu, most_errors = max(cpu for _, cpu, _ in points) * 1.15, max(errors for _, _, errors in points) * 1.15 or 1.0
    right, bottom = WIDTH - MARGIN, HEIGHT - MARGIN
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
        'font-family="system-ui, sans-serif" font-size="13">',
        '<rect width="100%" height="100%" rx="8" fill="#fff"/>',
        f'<text x="16" y="26" font-weight="600">Word errors and CPU time, {found.clips} clips; lower left is better</text>',
        f'<path d="M{MARGIN} {MARGIN - 16}V{bottom}H{right}" fill="none" stroke="#64748b"/>',
    ]
    for step in range(5):
        x, y = MARGIN + step * (right - MARGIN) // 4, bottom - step * (bottom - MARGIN) // 4
        parts.append(f'<text x="{x}" y="{bottom + 18}" text-anchor="middle">{most_cpu * step / 4:.2f}</text>')
        parts.append(f'<text x="{MARGIN - 8}" y="{y + 4}" text-anchor="end">{most_errors * step / 4:.1f} %</text>')
    parts.append(f'<text x="{(MARGIN + right) // 2}" y="{HEIGHT - 18}" text-anchor="middle">CPU seconds per second of audio</text>')
    for name, cpu, errors in points:
        x, y = MARGIN + round(cpu / most_cpu * (right - MARGIN)), bottom - round(errors / most_errors * (bottom - MARGIN))
        anchor, shift = ("end", -10) if x > WIDTH // 2 else ("start", 10)
        parts.append(f'<circle cx="{x}" cy="{y}" r="6" fill="#2563eb"/>')
        parts.append(f'<text x="{x + shift}" y="{y - 8}" text-anchor="{anchor}">{escape(name)}</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def section(found: Run) -> str:
    """Return the part of the page that a run determines."""
    where = f"{found.date}, {found.machine}, {found.cores} cores that other programs also used"
    return f"{found.clips} clips, {found.audio_s:.0f} s of English speech. {where}.\n\n{table(found)}\n"


def page(text: str, found: Run) -> str:
    """Return the page with the results of a run between its markers."""
    head, _, rest = text.partition(BEGIN)
    return head + BEGIN + section(found) + END + rest.partition(END)[2]


if __name__ == "__main__":
    run = Run.read()
    (IMAGES / "recognizers.svg").write_text(plot(run), encoding="utf-8")
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8"), run), encoding="utf-8")
