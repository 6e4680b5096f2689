from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from open_speech.audio import silence
from open_speech.plugins import PluginReport, Problem
from open_speech.plugins.turn_detectors import TURN_GROUP, find, names
from tests.plugin_packages import install

Lay = Callable[..., None]
PATIENT = """
class Patient:
    def is_complete(self, audio):
        return audio.seconds > 5
"""


@pytest.fixture
def lay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lay:
    """Write an installed package with one turn detector, whose code defines `Patient`."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def write(package: str, code: str = PATIENT, name: str = "patient") -> None:
        module = package.replace("-", "_")
        install(tmp_path, package, {name: f"{module}:Patient"}, {f"{module}.py": code}, group=TURN_GROUP)

    return write


def test_a_detector_is_found_by_its_name_and_opened_when_it_is_needed(lay: Lay) -> None:
    lay("turns-one")
    assert names() == ["patient"]
    open = find("patient")
    assert callable(open)
    detector = open()
    assert (detector.is_complete(silence(6, 16_000)), detector.is_complete(silence(1, 16_000))) == (True, False)
    assert find("other") is None


def test_of_two_packages_the_first_has_the_name(lay: Lay) -> None:
    lay("turns-two-b", PATIENT.replace("> 5", "> 50"))
    lay("turns-two-a")
    open = find("patient")
    assert callable(open)
    assert open().is_complete(silence(6, 16_000))


@pytest.mark.parametrize(
    ("code", "problem", "detail"),
    [
        ("import no_such_engine", Problem.IMPORT, "ModuleNotFoundError: No module named 'no_such_engine'"),
        ("import sys; sys.exit(3)", Problem.IMPORT, "SystemExit: 3"),
        ("Patient = 3", Problem.INVALID, "is not a class or function"),
    ],
    ids=["missing", "exits", "other"],
)
def test_one_that_cannot_be_used_is_reported(lay: Lay, code: str, problem: Problem, detail: str) -> None:
    lay(f"turns-bad-{problem.name.lower()}-{len(code)}", code)
    found = find("patient")
    assert isinstance(found, PluginReport)
    assert found.problem is problem
    assert detail in found.detail


def test_what_is_no_detector_raises_when_it_is_opened(lay: Lay) -> None:
    lay("turns-none", "class Patient:\n    pass\n")
    open = find("patient")
    assert callable(open)
    with pytest.raises(TypeError, match="has no method `is_complete`"):
        open()
