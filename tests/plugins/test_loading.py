from __future__ import annotations

import json
from pathlib import Path

import pytest

from open_speech.backends import BackendEntry
from open_speech.plugins import Plugin, PluginReport, Problem
from open_speech.plugins.loading import loaded, target_fault
from open_speech.plugins.values import Offer
from runners import catalog
from tests.plugin_packages import found_in, install, install_broken, install_speaker, python

PLACED = {"STT_BACKENDS": "tones-stt", "STT_MODEL": "tones/listen", "TTS_MODEL": "tones/speak"}
PLAN = """
import json
from open_speech import config
from runners import catalog
from runners.catalog.placement import left_out, plan
from runners.wiring.services import dependencies
placed = plan(config.load())
dependencies(placed)
print(json.dumps([[p.backend.name for p in placed], [e.name for e in left_out(config.load())], [str(r) for r in catalog.plugin_reports()]]))
"""


def planned(folder: Path, backends: str) -> tuple[list[str], list[str], list[str]]:
    """Plan a server: the backends that are placed, those that are not installed, and the reports."""
    done = python(folder, "-c", PLAN, TTS_BACKENDS=backends, **PLACED)
    assert done.returncode == 0, done.stderr
    placed, missing, reports = json.loads(done.stdout)
    return placed, missing, reports


def test_the_plugins_of_a_folder_are_found_in_the_order_of_their_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    for number in (2, 1):
        install_speaker(tmp_path, f"found-{number}", name=f"found-{number}", model=f"found/{number}")
    offers = loaded(found_in(tmp_path))
    assert [(type(offer), offer.name, offer.package) for offer in offers] == [
        (Offer, "found-1", "found-1 1.0"),
        (Offer, "found-2", "found-2 1.0"),
    ]
    first = offers[0]
    assert isinstance(first, Offer)
    assert isinstance(first.plugin, Plugin)
    assert first.plugin.models[0].id == "found/1"


@pytest.mark.parametrize(
    ("code", "problem", "told"),
    [
        ('raise OSError("libengine.so\\nis missing")', Problem.IMPORT, "`{}:PLUGIN` cannot be imported: OSError: libengine.so is missing"),
        ("import no_such_engine", Problem.IMPORT, "ModuleNotFoundError: No module named 'no_such_engine'"),
        ("import sys; sys.exit(3)", Problem.IMPORT, "SystemExit: 3"),
        ("PLUGINS = 1", Problem.IMPORT, "AttributeError"),
        ("PLUGIN = 1", Problem.INVALID, "`{}:PLUGIN` is not an open_speech.plugins.Plugin"),
    ],
    ids=["raises", "missing", "exits", "misnamed", "other"],
)
def test_an_entry_point_that_fails_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest, code: str, problem: Problem, told: str
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    module = f"fails_{request.node.callspec.id}"
    install(tmp_path, "fails", {"fails": f"{module}:PLUGIN"}, {f"{module}.py": code})
    (report,) = loaded(found_in(tmp_path))
    assert isinstance(report, PluginReport)
    assert (report.name, report.package, report.problem, report.whole) == ("fails", "fails 1.0", problem, True)
    assert told.format(module) in report.detail


@pytest.mark.parametrize(
    ("runner", "told"),
    [
        ("import no_such_engine", "`target_{}.runner` cannot be imported: ModuleNotFoundError: No module named 'no_such_engine'"),
        ("Speaker = 1", "`target_{}.runner` does not define a class `Speaker`"),
        ("from runners.tones import TonesSynthesizer as Speaker", "does not define a class `Speaker`"),
        ("class Speaker: pass", "`target_{}.runner` has no runner of the name `target-{}`"),
    ],
    ids=["missing", "other", "imported", "unserved"],
)
def test_a_class_that_cannot_be_served_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest, runner: str, told: str
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    name = request.node.callspec.id
    install_speaker(tmp_path, f"target-{name}", name=f"target-{name}", model="target/x", runner=runner)
    assert told.format(name, name) in target_fault(f"target_{name}.runner:Speaker", f"target-{name}")


@pytest.mark.parametrize("entry", [entry for entry in catalog.BACKENDS if catalog.installed(entry)], ids=lambda entry: entry.name)
def test_every_class_of_ours_can_be_served(entry: BackendEntry) -> None:
    assert target_fault(entry.target, entry.name) == ""


def test_a_plugin_is_placed_as_a_backend_of_ours(tmp_path: Path) -> None:
    install_speaker(tmp_path, "acme-speech", name="acme", model="acme/ann")
    assert planned(tmp_path, "tones-tts,acme") == (["tones-stt", "tones-tts", "acme"], [], [])
    assert planned(tmp_path, "acme@inproc")[0] == ["tones-stt", "acme"]
    assert planned(tmp_path, "acme@http://gpu-box:3000")[0] == ["tones-stt", "acme"]
    assert planned(tmp_path, "tones-tts") == (["tones-stt", "tones-tts"], [], [])


def test_a_plugin_that_cannot_be_imported_is_left_out_of_the_plan(tmp_path: Path) -> None:
    install_broken(tmp_path, "acme-broken", name="broken")
    report = "plugin broken of acme-broken 1.0: import failed: `acme_broken:PLUGIN` cannot be imported: OSError: libengine.so is missing"
    assert planned(tmp_path, "tones-tts,broken") == (["tones-stt", "tones-tts"], [], [report])
    assert planned(tmp_path, "tones-tts") == (["tones-stt", "tones-tts"], [], [report])


def test_a_class_that_cannot_be_imported_is_left_out_of_the_plan(tmp_path: Path) -> None:
    install_speaker(tmp_path, "acme-speech", name="acme", model="acme/ann", runner="import no_such_engine")
    placed, missing, (report,) = planned(tmp_path, "tones-tts,acme")
    assert (placed, missing) == (["tones-stt", "tones-tts"], [])
    assert report.startswith("plugin acme of acme-speech 1.0: import failed: `acme_speech.runner` cannot be imported")
    assert planned(tmp_path, "tones-tts")[2] == []  # it is not imported unless it is placed


def test_a_clash_leaves_the_backend_of_ours_in_the_plan(tmp_path: Path) -> None:
    install_speaker(tmp_path, "acme-speech", name="tones-tts", model="acme/ann")
    placed, missing, (report,) = planned(tmp_path, "tones-tts")
    assert (placed, missing) == (["tones-stt", "tones-tts"], [])
    assert report == "plugin tones-tts of acme-speech 1.0: backend name taken: Open Speech has a backend `tones-tts`"


def test_a_name_that_no_plugin_has_still_stops_the_start(tmp_path: Path) -> None:
    install_speaker(tmp_path, "acme-speech", name="acme", model="acme/ann")
    done = python(tmp_path, "-c", PLAN, TTS_BACKENDS="acmee", **PLACED)
    assert done.returncode != 0
    assert "unknown backend 'acmee'" in done.stderr
