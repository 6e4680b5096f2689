from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from open_speech.backends import BackendEntry, ModelEntry, Task, Voice
from open_speech.plugins import Plugin, PluginReport, Problem
from open_speech.plugins.joining import join
from open_speech.plugins.values import Joined, Offer
from runners import catalog

SPEAKS = BackendEntry("acme", Task.TTS, "acme.runner:Acme", (), "", "MIT")
MODEL = ModelEntry("acme/ann", "acme", Task.TTS, "MIT", ("en",), "Ann.", (Voice("ann", "en-US"),), "ann", 24_000)


def offer(package: str = "acme 1.0", backend: BackendEntry = SPEAKS, *models: ModelEntry, **changed: Any) -> Offer:
    entry = replace(backend, **changed)
    return Offer(entry.name, package, Plugin(entry, models or (replace(MODEL, backend=entry.name),)))


def joined(*offers: Offer | PluginReport) -> Joined:
    """Join with our own catalog."""
    return join(catalog.BACKENDS, catalog.own_models(), offers)


def only(found: Joined) -> PluginReport:
    (report,) = found.reports
    return report


def test_the_rows_of_a_plugin_stand_after_ours_with_the_package_they_come_from() -> None:
    found = joined(offer())
    assert found.reports == ()
    assert found.backends == (*catalog.BACKENDS, replace(SPEAKS, package="acme 1.0"))
    assert found.models == (*catalog.own_models(), MODEL)


def test_without_plugins_the_tables_are_ours() -> None:
    assert joined() == Joined(catalog.BACKENDS, catalog.own_models())


@pytest.mark.parametrize("name", ["kokoro", "tones-tts", "vosk"])
def test_a_backend_of_ours_keeps_its_name(name: str) -> None:
    found = joined(offer(name=name))
    assert (found.backends, found.models) == (catalog.BACKENDS, catalog.own_models())
    assert only(found) == PluginReport(name, "acme 1.0", Problem.BACKEND_TAKEN, f"Open Speech has a backend `{name}`")


def test_the_first_of_two_plugins_keeps_the_name() -> None:
    found = joined(offer("acme 1.0"), offer("better 2.0"))
    assert [entry.package for entry in found.backends if entry.name == "acme"] == ["acme 1.0"]
    assert only(found) == PluginReport("acme", "better 2.0", Problem.BACKEND_TAKEN, "acme 1.0 has a backend `acme`")


def test_two_names_that_would_be_one_service_clash() -> None:
    assert only(joined(offer(name="acme-tts"), replace(offer("b 1.0", name="acme-tts"), name="acme-tts"))).problem is Problem.BACKEND_TAKEN


@pytest.mark.parametrize(
    ("model", "told"),
    [
        (replace(MODEL, id="kokoro"), "`kokoro` is the id of a model of the backend `kokoro`"),
        (replace(MODEL, id="KOKORO"), "`kokoro` is the id of a model of the backend `kokoro`"),
        (replace(MODEL, id="hexgrad/Kokoro-82M"), "`hexgrad/kokoro-82m` is another name of `kokoro`, of a model of the backend `kokoro`"),
        (replace(MODEL, aliases=("tones/speak",)), "`tones/speak` is the id of a model of the backend `tones-tts`"),
        (replace(MODEL, id="tts-1"), "`tts-1` is a name of OpenAI"),
        (replace(MODEL, aliases=("gpt-4o-mini-tts",)), "`gpt-4o-mini-tts` is a name of OpenAI"),
        (replace(MODEL, id="kokoro/ann"), "the folder of `kokoro/ann` would be in that of `kokoro`"),
        (replace(MODEL, id="tones"), "the folder of `tones/listen` would be in that of `tones`"),
    ],
)
def test_a_model_of_ours_keeps_its_id_and_the_others_of_the_plugin_stay(model: ModelEntry, told: str) -> None:
    other = replace(MODEL, id="acme/bea")
    found = joined(offer("acme 1.0", SPEAKS, model, other))
    assert [entry for entry in found.models if entry.backend == "acme"] == [other]
    report = only(found)
    assert (report.name, report.package, report.problem, report.whole) == ("acme", "acme 1.0", Problem.MODEL_TAKEN, False)
    assert report.detail.startswith(f"the model `{model.id}`: {told}")


def test_the_first_of_two_plugins_keeps_the_id_of_a_model() -> None:
    found = joined(offer("acme 1.0"), offer("better 2.0", name="better"))
    assert [entry.backend for entry in found.models if entry.id == MODEL.id] == ["acme"]
    assert only(found).package == "better 2.0"
    assert only(found).detail == "the model `acme/ann`: `acme/ann` is the id of a model of the backend `acme`"


def test_a_prefix_of_model_ids_has_one_backend_per_task() -> None:
    assert only(joined(offer(prefix="upstream/", offers="acme:offers"))).problem is Problem.BACKEND_TAKEN
    assert only(joined(offer(prefix="up", offers="acme:offers"))).problem is Problem.BACKEND_TAKEN
    assert joined(offer(prefix="acme-cloud/", offers="acme:offers")).reports == ()


def test_a_wrong_model_is_left_out_and_named() -> None:
    found = joined(offer("acme 1.0", SPEAKS, replace(MODEL, sample_rate=None)))
    assert found.models == catalog.own_models()
    assert only(found) == PluginReport("acme", "acme 1.0", Problem.INVALID, "the model `acme/ann`: `sample_rate` is missing", whole=False)


def test_a_wrong_backend_is_left_out_with_its_models() -> None:
    found = joined(offer(extra="acme"))
    assert (found.backends, found.models) == (catalog.BACKENDS, catalog.own_models())
    assert (only(found).problem, only(found).whole) == (Problem.INVALID, True)


def test_the_entry_point_has_the_name_of_the_backend() -> None:
    assert only(joined(replace(offer(), name="Acme"))).detail == "the entry point must have the name of its backend, `acme`"


def test_a_report_of_an_import_is_passed_on() -> None:
    report = PluginReport("acme", "acme 1.0", Problem.IMPORT, "`acme` cannot be imported: OSError: no")
    assert joined(report).reports == (report,)
    assert str(report) == "plugin acme of acme 1.0: import failed: `acme` cannot be imported: OSError: no"
