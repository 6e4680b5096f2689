from __future__ import annotations

import json
import re

import pytest

from benchmarks.capacity import page
from benchmarks.capacity.comparison import Compared, row
from benchmarks.capacity.costs import RESULTS
from benchmarks.capacity.plot import BOTTOM, RIGHT, TOP, Axis, plot
from benchmarks.plots import IMAGES, MARGIN

SAVED = json.loads(RESULTS.read_text(encoding="utf-8"))
X, Y = Axis("x", 1, 1000, is_log=True), Axis("y", 0, 4, unit=" s")


def places(svg: str) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in re.findall(r'<circle cx="([\d.]+)" cy="([\d.]+)"', svg)]


def test_the_page_and_its_plots_show_the_saved_results() -> None:
    text = page.PAGE.read_text(encoding="utf-8")
    assert page.page(text, SAVED) == text
    for name, svg in page.plots(SAVED["studies"]).items():
        assert (IMAGES / name).read_text(encoding="utf-8") == svg
        assert f"images/{name}" in text


def test_a_page_without_a_part_is_an_error() -> None:
    with pytest.raises(ValueError, match="costs"):
        page.page("# Scale\n", SAVED)


def test_the_corners_of_a_plot_are_the_ends_of_its_axes() -> None:
    found = places(plot("title", X, Y, {"a <line>": [(1, 0), (1000, 4)]}))
    assert found == [(MARGIN, BOTTOM), (RIGHT, TOP)]


def test_a_value_beyond_the_axis_is_drawn_at_its_end() -> None:
    assert places(plot("title", X, Y, {"a": [(10, 400)]}))[0][1] == TOP


def test_lines_are_named_and_have_colours_of_their_own() -> None:
    svg = plot("title & more", X, Y, {"a <line>": [(1, 0)], "another": [(1, 1)]})
    assert ">a &lt;line&gt;<" in svg
    assert ">title &amp; more<" in svg
    assert len(set(re.findall(r'<polyline [^>]*stroke="(#\w+)"', svg))) == 2


def test_marks_of_axes() -> None:
    assert [X.label(mark) for mark in X.marks()] == ["1", "10", "100", "1,000"]
    assert [Y.label(mark) for mark in Y.marks()] == ["0.0", "0.8", "1.6", "2.4", "3.2", "4.0"]


def test_a_comparison_states_the_difference_of_the_percentiles() -> None:
    one = Compared("known times", 0.6, 4.9, 150, 0, 0.78, 0.8, 2.0, 2.2, 0.03)
    assert one.error == pytest.approx(0.1)
    assert row(one) == "| known times | 60% | 4.9 | 0 | 0.78 | 0.80 | 2.00 | 2.20 | +10% | 3% |"
