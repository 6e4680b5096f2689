from __future__ import annotations

from typing import Any

from open_speech.dispatch.merged_status import ReplicaState, Report, merged

A: dict[str, Any] = {
    "version": "0.2.0", "pid": 7, "device": "cuda", "memory_bytes": 100, "loaded": {"m": 5.0, "n": 1.0}, "in_flight": {"m": 2},
    "progress": {}, "fetched_models": 1, "batches": {"1": 3, "4": 1},
}  # fmt: skip
B: dict[str, Any] = {
    "version": "0.2.0", "pid": 8, "device": "cpu", "memory_bytes": 50, "loaded": {"m": 2.0}, "in_flight": {"m": 1, "n": 0},
    "progress": {"o": {"state": "loading"}}, "fetched_models": 0, "batches": {1: 1},
}  # fmt: skip


def state(runner: dict[str, Any] | None) -> ReplicaState:
    return ReplicaState("http://a:3000", runner is not None, runner, 0.0, 0, 0)


def test_a_backend_is_the_sum_of_its_replicas() -> None:
    assert merged([A, B]) == {
        "version": "0.2.0",
        "device": "cuda, cpu",
        "memory_bytes": 150,
        "loaded": {"m": 2.0, "n": 1.0},
        "in_flight": {"m": 3, "n": 0},
        "progress": {"o": {"state": "loading"}},
        "fetched_models": 1,
        "batches": {"1": 4, "4": 1},
    }


def test_the_only_runner_of_a_backend_is_reported_as_it_is() -> None:
    assert Report.of([state(A)], is_fleet=False) == Report(A)
    assert Report.of([state(None)], is_fleet=False) == Report(None)


def test_replicas_that_do_not_answer_count_for_nothing() -> None:
    found = Report.of([state(A), state(None)], is_fleet=True)
    assert found.status is not None
    assert found.status["memory_bytes"] == 100
    assert [replica.ready for replica in found.replicas] == [True, False]
    assert Report.of([state(None)], is_fleet=True).status is None
