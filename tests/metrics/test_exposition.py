from __future__ import annotations

import json

import pytest
from prometheus_client.parser import text_string_to_metric_families

from open_speech.dispatch.admission import Queue
from open_speech.metrics import exposition
from open_speech.metrics.backends import of_lines
from open_speech.metrics.exposition import aliases, dumped, read, summed
from open_speech.metrics.meter import Meter


def used(times: int) -> Meter:
    meter = Meter()
    for _ in range(times):
        meter.answered("openai", "/v1/models", "GET", 200, took_s=0.02, first_byte_s=0.02)
        meter.answered("openai", "/v1/audio/speech", "POST", 429, took_s=3.0, first_byte_s=0.02)
        meter.failed("openai", "rate_limit_exceeded")
    return meter


def samples(text: bytes) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    families = text_string_to_metric_families(text.decode())
    return {(sample.name, frozenset(sample.labels.items())): sample.value for family in families for sample in family.samples}


def key(name: str, **labels: str) -> tuple[str, frozenset[tuple[str, str]]]:
    return name, frozenset(labels.items())


def test_figures_survive_the_way_between_two_processes() -> None:
    here = list(used(2).figures.registry.collect())
    there = read(json.loads(json.dumps(dumped(here))))
    assert exposition.text(summed(there)) == exposition.text(summed(here))


@pytest.mark.parametrize("broken", [[{}], [{"name": "a", "documentation": "", "type": "song", "samples": []}], [3]])
def test_what_is_no_dump_is_refused(broken: list[object]) -> None:
    with pytest.raises((KeyError, TypeError, ValueError)):
        read(broken)  # type: ignore[arg-type]


def test_two_processes_make_one_sum_and_one_family() -> None:
    told = summed([*used(2).figures.registry.collect(), *used(3).figures.registry.collect()])
    assert len({family.name for family in told}) == len(told)
    found = samples(exposition.text(told))
    assert found[key("open_speech_http_requests_total", door="openai", route="/v1/models", method="GET", status="200")] == 5
    duration = {"door": "openai", "route": "/v1/audio/speech"}
    assert found[key("open_speech_http_request_duration_seconds_sum", **duration)] == 15
    assert found[key("open_speech_http_request_duration_seconds_bucket", **duration, le="2.5")] == 0
    assert found[key("open_speech_http_request_duration_seconds_bucket", **duration, le="+Inf")] == 5


def test_two_doors_before_one_runner_have_one_pace() -> None:
    told = summed([*of_lines({"kokoro": Queue(waiting=1, pace_s=0.5)}), *of_lines({"kokoro": Queue(waiting=2, pace_s=0.25)})])
    found = samples(exposition.text(told))
    assert found[key("open_speech_queue_pace_seconds", backend="kokoro")] == 0.5
    assert found[key("open_speech_queue_waiting", backend="kokoro")] == 3


def test_gemma_voices_names_tell_the_same() -> None:
    found = samples(exposition.text(aliases(summed(used(2).figures.registry.collect()))))
    assert found[key("app_http_requests_total", method="GET", path="/v1/models", status_code="200")] == 2
    assert found[key("app_http_request_duration_seconds_count", path="/v1/models")] == 2
    assert found[key("app_http_request_duration_seconds_bucket", path="/v1/models", le="0.05")] == 2
    assert found[key("app_http_request_errors_total", method="POST", path="/v1/audio/speech", status_code="429")] == 2
    assert found[key("app_rate_limit_rejections_total")] == 2


def test_no_sample_tells_when_a_counter_began() -> None:
    assert b"_created" not in exposition.text(summed(used(1).figures.registry.collect()))
