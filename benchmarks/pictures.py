"""The pictures of the README: `python -m benchmarks.pictures`.

A chart of the measured comparison, from benchmarks/results/stt.md, and a screenshot of the web page on a server that runs.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import NamedTuple
from xml.sax.saxutils import escape

from playwright.sync_api import sync_playwright

from benchmarks.served import ROOT, serve

IMAGES = ROOT / "docs/images"
RESULTS = ROOT / "benchmarks/results/stt.md"
SHOWN = {
    "Open Speech, faster-whisper-base": "Open Speech",
    "faster-whisper": "faster-whisper",
    "faster-whisper, batched": "faster-whisper, batched",
    "wyoming-faster-whisper": "wyoming-faster-whisper",
}
"""Rows of the table that have the same weights, and their labels in the chart."""
WIDTH, ROW, LABEL, BAR = 680, 30, 210, 380
"""Pixels of the chart: its width, the height of a row, and the widths of the labels and of the longest bar."""
SIZE = (1100, 800)
"""Pixels of the screenshot."""
TEXT = "Dr. Smith owes $5.20 for the 2nd edition; it arrives on 3/14 at 9:05 a.m., or so the letter of April 1st says."


class Bar(NamedTuple):
    """One bar of the chart."""

    label: str
    value: float


def bars(results: str) -> list[Bar]:
    """Read the CPU seconds per second of audio of each contender with the same weights from the tables of the benchmark."""
    rows = re.findall(r"^\| (.+?) +\| *[\d.]+ +\| *\d+ +\| *([\d.]+) +\|", results, re.MULTILINE)
    found = {name: float(cpu) for name, cpu in rows}
    return [Bar(label, found[name]) for name, label in SHOWN.items()]


def chart(bars: list[Bar]) -> str:
    """Draw horizontal bars as SVG that is legible on light and dark pages."""
    longest = max(bar.value for bar in bars)
    height = ROW * len(bars) + 54
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
        'font-family="system-ui, sans-serif" font-size="14">',
        '<rect width="100%" height="100%" rx="8" fill="#fff"/>',
        '<text x="16" y="28" font-weight="600">CPU seconds per second of audio, Whisper base, int8; lower is better</text>',
    ]
    for index, bar in enumerate(bars):
        top = 46 + index * ROW
        colour = "#2563eb" if index == 0 else "#94a3b8"
        length = round(BAR * bar.value / longest)
        parts.append(f'<text x="16" y="{top + 16}">{escape(bar.label)}</text>')
        parts.append(f'<rect x="{LABEL}" y="{top + 2}" width="{length}" height="20" rx="3" fill="{colour}"/>')
        parts.append(f'<text x="{LABEL + length + 8}" y="{top + 17}">{bar.value:.3f}</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def screenshot(target: Path) -> None:
    """Start the server, have the web page speak a sentence, and save a picture of the page."""
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    with serve({"OS_OFFLINE": "true"}) as served, sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=browser, args=["--no-sandbox", "--disable-gpu"])
        page = chromium.new_page(viewport={"width": SIZE[0], "height": SIZE[1]})
        page.goto(served.url + "/web/#speak")
        page.get_by_placeholder("Enter the text to speak").fill(TEXT)
        page.get_by_role("button", name="Speak", exact=True).click()
        page.get_by_role("button", name="Download mp3").wait_for(timeout=60_000)
        page.get_by_role("button", name="Speak", exact=True).wait_for(timeout=60_000)
        page.screenshot(path=target)
        chromium.close()


if __name__ == "__main__":
    IMAGES.mkdir(exist_ok=True)
    (IMAGES / "comparison.svg").write_text(chart(bars(RESULTS.read_text(encoding="utf-8"))), encoding="utf-8")
    screenshot(IMAGES / "web.png")
