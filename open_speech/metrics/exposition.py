"""Figures as plain data and as text: those of several processes become one, and some are told under the names of another server. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from prometheus_client import generate_latest
from prometheus_client.core import Metric

Dump = list[dict[str, Any]]
"""Families as plain data, for the way between two processes."""

_SUFFIXES = ("_created",)
"""Samples that nobody asks for: when a counter began."""

GREATEST = frozenset({"open_speech_queue_pace_seconds"})
"""Families of which the greatest value counts, and not the sum: both processes wait for the same runner."""

ALIASES: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "open_speech_http_requests": ("app_http_requests", {"method": "method", "route": "path", "status": "status_code"}),
    "open_speech_http_request_duration_seconds": ("app_http_request_duration_seconds", {"route": "path"}),
}
"""Ours -> GemmaVoice's name for it, and which of its labels are which of ours."""


def dumped(families: Iterable[Metric]) -> Dump:
    """Write figures as plain data."""
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
    """Read what `dumped` wrote. Raises KeyError, TypeError or ValueError for something else."""
    families = []
    for told in dump:
        family = Metric(told["name"], told["documentation"], told["type"])
        for name, labels, value in told["samples"]:
            family.add_sample(name, labels, value)
        families.append(family)
    return families


def summed(families: Iterable[Metric]) -> list[Metric]:
    """Add up families of one name, sample by sample: each process counts what went through it."""
    found: dict[str, Metric] = {}
    values: dict[str, dict[tuple[str, tuple[tuple[str, str], ...]], float]] = {}
    for family in families:
        found.setdefault(family.name, Metric(family.name, family.documentation, family.type))
        kept = values.setdefault(family.name, {})
        for sample in family.samples:
            if not sample.name.endswith(_SUFFIXES):
                key = sample.name, tuple(sample.labels.items())
                so_far = kept.get(key, 0.0)
                kept[key] = max(so_far, sample.value) if family.name in GREATEST else so_far + sample.value
    for name, family in found.items():
        for (sample_name, labels), value in values[name].items():
            family.add_sample(sample_name, dict(labels), value)
    return list(found.values())


def aliases(families: Iterable[Metric]) -> list[Metric]:
    """Tell what GemmaVoice's boards ask for, as far as it is known here, in its names."""
    known = {family.name: family for family in families}
    told = [_renamed(known[ours], *theirs) for ours, theirs in ALIASES.items() if ours in known]
    if (requests := known.get("open_speech_http_requests")) is not None:
        failed = Metric("app_http_request_errors", "HTTP requests that returned an error.", "counter")
        failed.samples = [s for s in requests.samples if s.labels["status"] >= "400"]
        told.append(_renamed(failed, "app_http_request_errors", ALIASES["open_speech_http_requests"][1]))
    if (errors := known.get("open_speech_errors")) is not None:
        refused = Metric("app_rate_limit_rejections", "Requests rejected by the rate limit.", "counter")
        total = sum(s.value for s in errors.samples if s.labels["code"] == "rate_limit_exceeded")
        refused.add_sample("app_rate_limit_rejections_total", {}, total)
        told.append(refused)
    return summed(told)


def _renamed(family: Metric, name: str, labels: Mapping[str, str]) -> Metric:
    renamed = Metric(name, family.documentation, family.type)
    for sample in family.samples:
        suffix = sample.name.rpartition("_")[2] if family.type != "gauge" else ""
        kept = {theirs: sample.labels[ours] for ours, theirs in labels.items()}
        kept |= {"le": sample.labels["le"]} if "le" in sample.labels else {}
        renamed.add_sample(f"{name}_{suffix}", kept, sample.value)
    return renamed


@dataclass(frozen=True, slots=True)
class _Known:
    families: list[Metric]

    def collect(self) -> Iterable[Metric]:
        return self.families


def text(families: Iterable[Metric]) -> bytes:
    """Write figures in the text format of Prometheus."""
    return generate_latest(_Known(list(families)))
