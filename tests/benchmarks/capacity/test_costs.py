from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.capacity.costs import Clip, Costs, FrontCosts, ReplicaCosts, fitted

REPLICA = ReplicaCosts(fixed_s=0.1, per_audio_s=0.05, spread=0.0, more=0.5, slowdown=(1.0, 1.25), batch=4, partial=0.5)


def test_a_batch_takes_as_long_as_its_longest_window_and_a_share_for_each_other_one() -> None:
    assert REPLICA.single_s(4.0) == pytest.approx(0.3)
    assert REPLICA.batch_s([0.3]) == pytest.approx(0.3)
    assert REPLICA.batch_s([0.3, 0.2, 0.1]) == pytest.approx(0.6)


def test_the_most_windows_are_those_of_full_batches_in_all_workers() -> None:
    assert REPLICA.workers == 2
    assert REPLICA.most_windows_per_s == pytest.approx(4 * 2 / (0.3 * 2.5 * 1.25))


def test_the_fit_finds_the_line_that_the_times_lie_on() -> None:
    fixed_s, per_audio_s, spread = fitted([Clip(seconds, 0.1 + 0.05 * seconds) for seconds in (2.0, 5.0, 9.0)])
    assert (fixed_s, per_audio_s, spread) == (pytest.approx(0.1), pytest.approx(0.05), pytest.approx(0.0, abs=1e-9))


def test_the_spread_is_that_of_the_times_around_the_line() -> None:
    clips = [Clip(seconds, seconds * factor) for seconds in (2.0, 4.0, 8.0) for factor in (0.8, 1.2)]
    assert fitted(clips) == (pytest.approx(0.0, abs=1e-9), pytest.approx(1.0), pytest.approx(0.2))


def test_no_window_takes_less_than_no_time() -> None:
    fixed_s, per_audio_s, _ = fitted([Clip(2.0, 0.1), Clip(4.0, 0.4), Clip(8.0, 1.2)])
    assert fixed_s == 0.0
    assert per_audio_s > 0


def test_costs_are_the_same_after_they_were_saved(tmp_path: Path) -> None:
    costs = Costs("a machine", REPLICA, FrontCosts(0.01, 0.002, 0.003), (Clip(3.0, 0.25),))
    path = tmp_path / "costs.json"
    path.write_text(json.dumps({"costs": costs.data()}), encoding="utf-8")
    assert Costs.read(path) == costs
