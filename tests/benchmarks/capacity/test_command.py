from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.capacity import command
from benchmarks.capacity.costs import Clip, Costs, FrontCosts, ReplicaCosts

REPLICA = ReplicaCosts(fixed_s=0.1, per_audio_s=0.05, spread=0.1, more=0.5, slowdown=(1.0, 1.2), batch=4, partial=0.8)
COSTS = Costs("a machine of the tests", REPLICA, FrontCosts(0.01, 0.002, 0.01), (Clip(4.0, 0.3),))


@pytest.fixture
def costs(tmp_path: Path) -> str:
    path = tmp_path / "costs.json"
    path.write_text(json.dumps({"costs": COSTS.data()}), encoding="utf-8")
    return str(path)


def test_the_command_answers_with_a_fleet_and_the_source_of_its_service_times(costs: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["--sessions", "40", "--hours", "40", "--uploads", "1", "--seconds", "40", "--costs", costs]) == 0
    shown = capsys.readouterr().out
    assert "replicas: " in shown
    assert "fronts: 1," in shown
    assert "95 % within" in shown
    assert "long files: " in shown
    assert "a machine of the tests" in shown


def test_a_gpu_is_named_as_an_assumption(costs: str, capsys: pytest.CaptureFixture[str]) -> None:
    command.main(["--sessions", "40", "--seconds", "40", "--costs", costs, "--gpu"])
    assert "assumed" in capsys.readouterr().out
