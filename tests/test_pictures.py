from __future__ import annotations

import re

from benchmarks import pictures


def test_the_chart_of_the_readme_shows_the_saved_results() -> None:
    bars = pictures.bars(pictures.RESULTS.read_text(encoding="utf-8"))
    assert len(bars) == len(pictures.SHOWN)
    assert (pictures.IMAGES / "comparison.svg").read_text(encoding="utf-8") == pictures.chart(bars)


def test_the_readme_shows_its_pictures_and_they_are_small() -> None:
    readme = (pictures.ROOT / "README.md").read_text(encoding="utf-8")
    images = re.findall(r"!\[[^\]]+\]\((docs/images/[^)]+)\)", readme)
    assert images == ["docs/images/web.png", "docs/images/comparison.svg"]
    assert all((pictures.ROOT / image).stat().st_size < 150_000 for image in images)
