from __future__ import annotations

from collections.abc import Iterable

from prometheus_client.core import Metric

from open_speech.dispatch.admission import Queue
from open_speech.metrics.backends import histogram, of_cache, of_clients, of_lines, of_replicas, of_runners

ANSWER = {
    "pid": 7, "memory_bytes": 1000, "loaded": {"kokoro": 12.5}, "in_flight": {"kokoro": 2},
    "progress": {"a": {"state": "downloading"}, "b": {"state": "loading"}}, "fetched_models": 3, "batches": {"1": 4, "3": 2},
}  # fmt: skip
STATES = {
    "kokoro": {"ready": True, "runner": ANSWER},
    "piper": {"ready": True, "runner": None},
    "qwen": {"ready": True, "runner": {"pid": 1, "loaded": {}}},
}
"""One that works, one that is being started again, one of an earlier version on another machine."""


def told(families: Iterable[Metric], name: str) -> dict[tuple[str, ...], float]:
    samples = (sample for family in families for sample in family.samples if sample.name == name)
    return {tuple(value for _, value in sorted(sample.labels.items())): sample.value for sample in samples}


def test_the_lines_are_told_as_they_are() -> None:
    families = of_lines({"kokoro": Queue(under_way=3, waiting=2, live=1, accepted=9, refused=4, pace_s=0.5, waited_s=7.5)})
    assert told(families, "open_speech_queue_under_way") == {("kokoro",): 3}
    assert told(families, "open_speech_queue_waiting") == {("kokoro",): 2}
    assert told(families, "open_speech_queue_waiting_live") == {("kokoro",): 1}
    assert told(families, "open_speech_queue_accepted_total") == {("kokoro",): 9}
    assert told(families, "open_speech_queue_refused_total") == {("kokoro",): 4}
    assert told(families, "open_speech_queue_pace_seconds") == {("kokoro",): 0.5}
    assert told(families, "open_speech_queue_waited_seconds_total") == {("kokoro",): 7.5}


def test_a_runner_that_is_being_started_again_is_down_and_ready() -> None:
    families = of_runners(STATES)
    assert told(families, "open_speech_runner_up") == {("kokoro",): 1, ("piper",): 0, ("qwen",): 1}
    assert told(families, "open_speech_runner_ready") == {("kokoro",): 1, ("piper",): 1, ("qwen",): 1}


def test_what_a_runner_does_not_tell_is_left_out() -> None:
    families = of_runners(STATES)
    assert told(families, "open_speech_runner_memory_bytes") == {("kokoro",): 1000}
    assert told(families, "open_speech_downloads_total") == {("kokoro",): 3}
    assert told(families, "open_speech_downloads_under_way") == {("kokoro",): 1, ("qwen",): 0}


def test_loaded_models_are_told_with_their_use() -> None:
    families = of_runners(STATES)
    assert told(families, "open_speech_model_loaded") == {("kokoro", "kokoro"): 1}
    assert told(families, "open_speech_model_idle_seconds") == {("kokoro", "kokoro"): 12.5}
    assert told(families, "open_speech_model_calls_under_way") == {("kokoro", "kokoro"): 2}


def test_batches_are_a_histogram() -> None:
    families = of_runners(STATES)
    assert told(families, "open_speech_batch_size_count") == {("kokoro",): 6}
    assert told(families, "open_speech_batch_size_sum") == {("kokoro",): 10}
    assert told(families, "open_speech_batch_size_bucket")[("kokoro", "2.0")] == 4
    assert histogram({100: 1}, (1, 2)) == ([("1.0", 0.0), ("2.0", 0.0), ("+Inf", 1.0)], 100.0)


def test_callers_and_the_cache_tell_what_they_met() -> None:
    assert told(of_clients({"piper": 2}, {"piper": 1}), "open_speech_runner_lost_calls_total") == {("piper",): 2}
    assert told(of_clients({"piper": 2}, {"piper": 1}), "open_speech_runner_restarts_total") == {("piper",): 1}
    assert told(of_cache({"answer": 3, "piece": 0}, {"answer": 1, "piece": 5}), "open_speech_cache_hits_total") == {
        ("answer",): 3, ("piece",): 0,
    }  # fmt: skip


def test_each_replica_is_told_beside_its_backend() -> None:
    working = {"where": "http://a:3000", "ready": True, "runner": ANSWER, "outstanding_s": 4.5, "calls": 9, "lost": 0}
    dead = {"where": "http://b:3000", "ready": False, "runner": None, "outstanding_s": 0.0, "calls": 3, "lost": 1}
    families = of_replicas({**STATES, "ear": {"ready": True, "runner": ANSWER, "replicas": [working, dead]}})
    a, b = ("ear", "http://a:3000"), ("ear", "http://b:3000")
    assert told(families, "open_speech_replica_up") == {a: 1, b: 0}
    assert told(families, "open_speech_replica_outstanding_seconds") == {a: 4.5, b: 0}
    assert told(families, "open_speech_replica_calls_total") == {a: 9, b: 3}
    assert told(families, "open_speech_replica_lost_calls_total") == {a: 0, b: 1}
    assert told(families, "open_speech_replica_memory_bytes") == {a: 1000}
    assert told(families, "open_speech_replica_model_loaded") == {("ear", "kokoro", "http://a:3000"): 1}
