"""Metrics as plain data and as text: sums over several processes, and aliases under the names of another server. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from prometheus_client import generate_latest
from prometheus_client.core import Metric

Dump = list[dict[str, Any]]
"""Metric families as plain data, for the transfer between two processes."""

_SUFFIXES = ("_created",)
"""Samples that are left out: the creation times of counters."""

GREATEST = frozenset({"open_speech_queue_pace_seconds"})
"""Families whose maximum is exposed instead of the sum, because both processes wait for the same runner."""

ALIASES: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "open_speech_http_requests": ("app_http_requests", {"method": "method", "route": "path", "status": "status_code"}),
    "open_speech_http_request_duration_seconds": ("app_http_request_duration_seconds", {"route": "path"}),
    "open_speech_dialogue_duration_seconds": ("app_pipeline_duration_seconds", {"kind": "pipeline"}),
    "open_speech_dialogue_errors": ("app_pipeline_errors", {"kind": "pipeline"}),
    "open_speech_dialogue_stage_seconds": ("app_external_call_duration_seconds", {"stage": "service"}),
    "open_speech_dialogue_stage_errors": ("app_external_call_errors", {"stage": "service"}),
}
"""Metric of this server -> GemmaVoice's name for it, and label of this server -> GemmaVoice's label."""


def dumped(families: Iterable[Metric]) -> Dump:
    """Convert metrics to plain data."""
    return [
        {
            "name": family.name,
            "documentation": family.documentation,
            "type": family.type,
            "samples": [[sample.name, dict(sample.labels), sample.value] for sample in family.samples],
        }
        for family in families
    ]


def read(dump: Dump) -> list[Metric]:
    """Convert the result of `dumped` back. Raises KeyError, TypeError or ValueError for other data."""
    families = []
    for row in dump:
        family = Metric(row["name"], row["documentation"], row["type"])
        for name, labels, value in row["samples"]:
            family.add_sample(name, labels, value)
        families.append(family)
    return families


def summed(families: Iterable[Metric]) -> list[Metric]:
    """Add up families of the same name, sample by sample, because each process counts its own events."""
    found: dict[str, Metric] = {}
    values: dict[str, dict[tuple[str, tuple[tuple[str, str], ...]], float]] = {}
    for family in families:
        found.setdefault(family.name, Metric(family.name, family.documentation, family.type))
        totals = values.setdefault(family.name, {})
        for sample in family.samples:
            if not sample.name.endswith(_SUFFIXES):
                key = sample.name, tuple(sample.labels.items())
                so_far = totals.get(key, 0.0)
                totals[key] = max(so_far, sample.value) if family.name in GREATEST else so_far + sample.value
    for name, family in found.items():
        for (sample_name, labels), value in values[name].items():
            family.add_sample(sample_name, dict(labels), value)
    return list(found.values())


def aliases(families: Iterable[Metric]) -> list[Metric]:
    """Return the metrics of GemmaVoice's dashboards under its names, as far as this server has them."""
    known = {family.name: family for family in families}
    renamed = [_renamed(known[ours], *theirs) for ours, theirs in ALIASES.items() if ours in known]
    if (requests := known.get("open_speech_http_requests")) is not None:
        failed = Metric("app_http_request_errors", "HTTP requests that returned an error.", "counter")
        failed.samples = [s for s in requests.samples if s.labels["status"] >= "400"]
        renamed.append(_renamed(failed, "app_http_request_errors", ALIASES["open_speech_http_requests"][1]))
    if (errors := known.get("open_speech_errors")) is not None:
        refused = Metric("app_rate_limit_rejections", "Requests rejected by the rate limit.", "counter")
        total = sum(s.value for s in errors.samples if s.labels["code"] == "rate_limit_exceeded")
        refused.add_sample("app_rate_limit_rejections_total", {}, total)
        renamed.append(refused)
    return summed(renamed)


def _renamed(family: Metric, name: str, labels: Mapping[str, str]) -> Metric:
    renamed = Metric(name, family.documentation, family.type)
    for sample in family.samples:
        suffix = sample.name.rpartition("_")[2] if family.type != "gauge" else ""
        new_labels = {theirs: sample.labels[ours] for ours, theirs in labels.items()}
        new_labels |= {"le": sample.labels["le"]} if "le" in sample.labels else {}
        renamed.add_sample(f"{name}_{suffix}", new_labels, sample.value)
    return renamed


@dataclass(frozen=True, slots=True)
class _Collector:
    families: list[Metric]

    def collect(self) -> Iterable[Metric]:
        return self.families


def text(families: Iterable[Metric]) -> bytes:
    """Return metrics in the text format of Prometheus."""
    return generate_latest(_Collector(list(families)))
