"""State of the backends at a scrape -> metrics of their queues, runners, batches, models and the cache. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from open_speech.dispatch.admission import Queue

States = Mapping[str, Mapping[str, Any]]
"""Backend -> its state, as dispatch/readiness.py returns it."""

BATCHES = (1, 2, 4, 8, 16, 32, 64)
"""Bounds of the histogram of batch sizes."""

_QUEUE = (
    ("under_way", "gauge", "open_speech_queue_under_way", "Requests accepted by a backend and not yet finished."),
    ("waiting", "gauge", "open_speech_queue_waiting", "Requests that wait for a backend, without any part of their response."),
    (
        "live",
        "gauge",
        "open_speech_queue_waiting_live",
        "Waiting requests of live sessions and of clients that listen as audio is generated.",
    ),
    ("pace_s", "gauge", "open_speech_queue_pace_seconds", "Time from one response to the next while requests are waiting."),
    ("accepted", "counter", "open_speech_queue_accepted", "Requests accepted by a backend."),
    ("refused", "counter", "open_speech_queue_refused", "Requests rejected because too many were waiting."),
    ("waited_s", "counter", "open_speech_queue_waited_seconds", "Total waiting time of all accepted requests."),
)


def of_lines(queues: Mapping[str, Queue]) -> list[Metric]:
    """Return the metrics of each backend's queue."""
    return [
        _family(kind, name, documentation, {backend: getattr(queue, field) for backend, queue in queues.items()})
        for field, kind, name, documentation in _QUEUE
    ]


def of_clients(lost: Mapping[str, int], restarts: Mapping[str, int]) -> list[Metric]:
    """Return the lost calls and restarts of runners, as counted by their clients."""
    return [
        _family(
            "counter", "open_speech_runner_lost_calls", "Calls whose runner died while it handled them; each is retried a few times.", lost
        ),
        _family("counter", "open_speech_runner_restarts", "Number of times that a runner was found to be a new process.", restarts),
    ]


def of_cache(hits: Mapping[str, int], misses: Mapping[str, int]) -> list[Metric]:
    """Return the hits and misses of the speech cache, by kind: whole responses, and pieces of text."""
    found = CounterMetricFamily("open_speech_cache_hits", "Speech found in the cache.", labels=("kind",))
    missed = CounterMetricFamily("open_speech_cache_misses", "Speech not found in the cache.", labels=("kind",))
    for family, counted in ((found, hits), (missed, misses)):
        for kind, count in counted.items():
            family.add_metric((kind,), count)
    return [found, missed]


def of_runners(states: States) -> list[Metric]:
    """Return the state of each backend's runner and the models that it has loaded."""
    return [*_runners(states), *_models(states), _batches(states)]


def of_replicas(states: States) -> list[Metric]:
    """Return the state of each replica of the backends that have several."""
    labels = ("backend", "replica")
    up = GaugeMetricFamily("open_speech_replica_up", "Whether a replica gets calls.", labels=labels)
    outstanding = GaugeMetricFamily(
        "open_speech_replica_outstanding_seconds", "Audio of the calls in progress at a replica.", labels=labels
    )
    memory = GaugeMetricFamily("open_speech_replica_memory_bytes", "Memory of a replica's process.", labels=labels)
    calls = CounterMetricFamily("open_speech_replica_calls", "Calls sent to a replica.", labels=labels)
    lost = CounterMetricFamily("open_speech_replica_lost_calls", "Calls whose replica died while it handled them.", labels=labels)
    loaded = GaugeMetricFamily("open_speech_replica_model_loaded", "Models that a replica has loaded.", labels=(*labels, "model"))
    for backend, replica in ((backend, replica) for backend, state in states.items() for replica in state.get("replicas", ())):
        names = (backend, replica["where"])
        up.add_metric(names, float(replica["ready"]))
        outstanding.add_metric(names, replica["outstanding_s"])
        calls.add_metric(names, replica["calls"])
        lost.add_metric(names, replica["lost"])
        status = replica["runner"] or {}
        if "memory_bytes" in status:
            memory.add_metric(names, status["memory_bytes"])
        for model in status.get("loaded", {}):
            loaded.add_metric((*names, model), 1)
    return [up, outstanding, memory, calls, lost, loaded]


def _runners(states: States) -> Iterable[Metric]:
    up = {backend: state["runner"] is not None for backend, state in states.items()}
    yield _family("gauge", "open_speech_runner_up", "Whether a runner answered within two seconds.", up)
    ready = {backend: state["ready"] for backend, state in states.items()}
    yield _family("gauge", "open_speech_runner_ready", "Whether a backend accepts calls, including while it is being restarted.", ready)
    memory = {backend: status["memory_bytes"] for backend, status in _statuses(states) if "memory_bytes" in status}
    yield _family("gauge", "open_speech_runner_memory_bytes", "Memory of a runner's process, with all loaded models.", memory)
    fetched = {backend: status["fetched_models"] for backend, status in _statuses(states) if "fetched_models" in status}
    yield _family("counter", "open_speech_downloads", "Models that a runner has downloaded since it started.", fetched)
    fetching = {
        backend: sum("loading" != progress.get("state") for progress in status.get("progress", {}).values())
        for backend, status in _statuses(states)
    }
    yield _family("gauge", "open_speech_downloads_under_way", "Models that are being downloaded.", fetching)


def _models(states: States) -> Iterable[Metric]:
    loaded = GaugeMetricFamily("open_speech_model_loaded", "Models loaded in memory.", labels=("backend", "model"))
    idle = GaugeMetricFamily("open_speech_model_idle_seconds", "Time since the last use of a loaded model.", labels=("backend", "model"))
    users = GaugeMetricFamily("open_speech_model_calls_under_way", "Calls that use a loaded model.", labels=("backend", "model"))
    for backend, status in _statuses(states):
        for model, idle_s in status.get("loaded", {}).items():
            loaded.add_metric((backend, model), 1)
            idle.add_metric((backend, model), idle_s)
            users.add_metric((backend, model), status.get("in_flight", {}).get(model, 0))
    return loaded, idle, users


def _batches(states: States) -> Metric:
    sizes = HistogramMetricFamily("open_speech_batch_size", "Number of windows or texts in one call of a model.", labels=("backend",))
    for backend, status in _statuses(states):
        if counted := status.get("batches"):
            buckets, total = histogram({int(size): count for size, count in counted.items()}, BATCHES)
            sizes.add_metric((backend,), buckets, total)
    return sizes


def histogram(counted: Mapping[int, int], bounds: Sequence[int]) -> tuple[list[tuple[str, float]], float]:
    """Return Prometheus buckets (the count of values up to each bound) and the sum of all values, from value -> count."""
    buckets = [(f"{bound:.1f}", float(sum(n for value, n in counted.items() if value <= bound))) for bound in bounds]
    return [*buckets, ("+Inf", float(sum(counted.values())))], float(sum(value * n for value, n in counted.items()))


def _statuses(states: States) -> Iterable[tuple[str, Mapping[str, Any]]]:
    return ((backend, state["runner"]) for backend, state in states.items() if state["runner"] is not None)


def _family(kind: str, name: str, documentation: str, values: Mapping[str, float]) -> Metric:
    family = (CounterMetricFamily if kind == "counter" else GaugeMetricFamily)(name, documentation, labels=("backend",))
    for backend, value in values.items():
        family.add_metric((backend,), float(value))
    return family
