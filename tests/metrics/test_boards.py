"""What deploy/ gives to Prometheus and Grafana asks for nothing that the server does not tell."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from open_speech.api.jobs.metrics import of_jobs
from open_speech.app import create_app
from open_speech.config import Settings
from open_speech.dispatch.admission import Queue
from open_speech.metrics.backends import of_cache, of_clients, of_lines, of_runners
from open_speech.metrics.meter import Meter

DEPLOY = Path(__file__).parent.parent.parent / "deploy"
BOARD = json.loads((DEPLOY / "grafana/open-speech.json").read_text(encoding="utf-8"))
ALERTS = yaml.safe_load((DEPLOY / "prometheus/alerts.yml").read_text(encoding="utf-8"))
SCRAPE = yaml.safe_load((DEPLOY / "prometheus/prometheus.yml").read_text(encoding="utf-8"))
SUFFIXES = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count"), "gauge": ("",)}
FROM_PROCESS = {"open_speech_process_resident_memory_bytes": set(), "open_speech_build_info": {"version"}}
FROM_PROMETHEUS = {"up": {"job"}}
ADDED = {"instance", "job", "le"}
"""Labels that Prometheus adds, or that every bucket has."""


def names() -> dict[str, set[str]]:
    """Give the labels of every series that the server may tell, by its name."""
    meter = Meter()
    state = {"ready": True, "runner": {"memory_bytes": 1, "fetched_models": 1, "loaded": {"m": 1}, "batches": {1: 1}}}
    kept = of_jobs([])
    asked = [*kept, *of_lines({"b": Queue()}), *of_clients({"b": 1}, {"b": 1}), *of_cache({"k": 1}, {"k": 1}), *of_runners({"b": state})]
    found = {f"{family.name}{end}": set(family.samples[0].labels) for family in asked for end in SUFFIXES[family.type]}
    for figure in vars(meter.figures).values():
        for family in figure.describe() if hasattr(figure, "describe") else ():
            found |= {f"{family.name}{end}": set(figure._labelnames) for end in SUFFIXES[family.type]}
    return found | FROM_PROCESS | FROM_PROMETHEUS


def panels() -> Iterator[dict[str, Any]]:
    return (panel for panel in BOARD["panels"] if panel["type"] != "row")


def expressions() -> dict[str, str]:
    shown = {f"{panel['title']} {target['refId']}": target["expr"] for panel in panels() for target in panel["targets"]}
    marked = {note["name"]: note["expr"] for note in BOARD["annotations"]["list"]}
    return shown | marked | {rule["alert"]: rule["expr"] for group in ALERTS["groups"] for rule in group["rules"]}


@pytest.mark.parametrize("expression", expressions().values(), ids=expressions())
def test_an_expression_names_series_and_labels_that_there_are(expression: str) -> None:
    known = names()
    asked = set(re.findall(r"\b(?:open_speech_\w+|up)\b", expression))
    assert asked
    assert asked <= set(known)
    labels = {label for inside in re.findall(r"\{(.*?)\}", expression) for label in re.findall(r"(\w+)\s*[=!]", inside)}
    labels |= {label.strip() for inside in re.findall(r"by \((.*?)\)", expression) for label in inside.split(",")}
    assert labels - ADDED <= set().union(*(known[name] for name in asked))
    assert expression.count("(") == expression.count(")")


def test_the_test_would_notice_a_name_that_is_not_there() -> None:
    assert "open_speech_http_requests_total" in names()
    assert "open_speech_batch_size_bucket" in names()
    assert "open_speech_nonsense_total" not in names()


def test_panels_stand_side_by_side_and_have_ids_of_their_own() -> None:
    ids = [panel["id"] for panel in BOARD["panels"]]
    assert len(set(ids)) == len(ids)
    taken: set[tuple[int, int]] = set()
    for panel in BOARD["panels"]:
        place = panel["gridPos"]
        cells = {(x, y) for x in range(place["x"], place["x"] + place["w"]) for y in range(place["y"], place["y"] + place["h"])}
        assert not cells & taken
        assert max(x for x, _ in cells) < 24
        taken |= cells


def test_every_label_in_a_legend_is_one_that_is_left() -> None:
    for panel in panels():
        for target in panel["targets"]:
            wanted = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
            grouped = {label.strip() for inside in re.findall(r"by \((.*?)\)", target["expr"]) for label in inside.split(",")}
            (name,) = set(re.findall(r"open_speech_\w+", target["expr"])) if not grouped and wanted else ("",)
            assert wanted <= (grouped or names().get(name, set()))


def test_every_alert_says_what_is_wrong_and_how_bad_it_is() -> None:
    rules = [rule for group in ALERTS["groups"] for rule in group["rules"]]
    assert len({rule["alert"] for rule in rules}) == len(rules)
    assert {rule["labels"]["severity"] for rule in rules} == {"warning", "critical"}
    assert all(rule["annotations"]["summary"] and rule["annotations"]["description"] for rule in rules)


def test_the_scrape_asks_the_server_where_it_listens() -> None:
    (job,) = SCRAPE["scrape_configs"]
    settings = Settings()
    assert job["static_configs"] == [{"targets": [f"{settings.os_host}:{settings.os_port}"]}]
    assert job["metrics_path"] in create_app(settings).openapi()["paths"]
    assert SCRAPE["rule_files"] == ["alerts.yml"]
