from __future__ import annotations

import re

from benchmarks import pictures, plots, recognizers


def test_the_chart_of_the_readme_shows_the_saved_results() -> None:
    bars = pictures.bars(pictures.RESULTS.read_text(encoding="utf-8"))
    assert len(bars) == len(pictures.SHOWN)
    assert (pictures.IMAGES / "comparison.svg").read_text(encoding="utf-8") == pictures.chart(bars)


def test_the_readme_shows_its_pictures_and_they_are_small() -> None:
    readme = (pictures.ROOT / "README.md").read_text(encoding="utf-8")
    images = re.findall(r"!\[[^\]]+\]\((docs/images/[^)]+)\)", readme)
    assert images == ["docs/images/web.png", "docs/images/comparison.svg"]
    assert all((pictures.ROOT / image).stat().st_size < 150_000 for image in images)


def test_every_recognizer_is_a_point_within_the_plot() -> None:
    rows = tuple(recognizers.Row(f"owner/model-{errors}", 100, errors, 1.0, cpu, 50.0) for errors, cpu in ((0, 1.0), (7, 3.0), (20, 0.0)))
    svg = plots.plot(recognizers.Run("2026-01-01", "a <machine>", 2, 3, 10.0, rows))
    places = [(int(x), int(y)) for x, y in re.findall(r'<circle cx="(\d+)" cy="(\d+)"', svg)]
    assert len(places) == 3
    assert all(0 < x < plots.WIDTH and 0 < y < plots.HEIGHT for x, y in places)
    assert all(f">owner/model-{row.errors}<" in svg for row in rows)
