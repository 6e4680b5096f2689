"""What docs/scale.md shows: fleets for many numbers of sessions, and what one change does. Each study returns rows that JSON can hold."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace

from benchmarks.capacity.costs import Costs
from benchmarks.capacity.fleet import Dispatch, Size
from benchmarks.capacity.outcome import Outcome
from benchmarks.capacity.scenario import Load, simulate
from benchmarks.capacity.sizing import Target, fewest, fronts_for

SESSIONS = (10, 30, 100, 300, 1000, 3000, 10_000)
TARGET = Target(turn_s=1.0, upload_s=3.0, partials=0.5)
UNBOUNDED = 1_000_000
"""A number of passes that is never reached: no partial pass waits for other passes of its front."""
TIMES_FASTER = 10.0
"""Assumed: a GPU decodes one window in a tenth of the time of two CPU cores. Nobody has measured it here."""


@dataclass(frozen=True, slots=True)
class Fleet:
    """A fleet that keeps the targets for a number of live sessions."""

    sessions: int
    fronts: int
    replicas: int
    p95_s: float
    partials: float
    replica_share: float


@dataclass(frozen=True, slots=True)
class Point:
    """One simulation: a 95th percentile and other values at a load."""

    name: str
    x: float
    p95_s: float
    partials: float
    refused: float
    replica_share: float


def gpu(costs: Costs, *, batch: int) -> Costs:
    """Return costs with an assumed GPU in place of the cores of a replica."""
    cpu = costs.replica
    replica = replace(
        cpu, fixed_s=cpu.fixed_s / TIMES_FASTER, per_audio_s=cpu.per_audio_s / TIMES_FASTER, more=0.15, slowdown=(1.0, 1.5), batch=batch
    )
    return replace(costs, source=f"assumed: a GPU that is {TIMES_FASTER:g} times as fast", replica=replica)


def fleets(costs: Costs, note: Callable[[str], None]) -> list[Fleet]:
    """Return the smallest fleets for SESSIONS. Partial passes are bounded by the replicas alone."""
    found: list[Fleet] = []
    guess = 1.0
    for sessions in SESSIONS:
        size = Size(1, max(1, math.ceil(guess * sessions)), busy_passes=UNBOUNDED, max_queue=UNBOUNDED)
        answer = fewest(Load(sessions=sessions), costs, TARGET, size, seconds=duration(sessions))
        guess = 0.97 * answer.size.replicas / sessions
        found.append(fleet(sessions, answer.size, answer.outcome))
        note(f"{sessions} sessions: {found[-1]}")
    return found


def duration(sessions: int) -> float:
    """Return the seconds to simulate: enough turns for a percentile, and few enough events for minutes of work."""
    return min(400.0, max(30.0, 30_000 / sessions))


def fleet(sessions: int, size: Size, outcome: Outcome) -> Fleet:
    """Return a row of `fleets`."""
    p95_s = outcome.p95(outcome.turns_s)
    return Fleet(sessions, size.fronts, size.replicas, round(p95_s, 3), round(outcome.partial_share, 3), round(outcome.replica_share, 3))


def pooling(costs: Costs) -> list[Point]:
    """Return how the delay of a turn grows with the sessions per replica, in fleets of 1, 4 and 32 replicas."""
    found = []
    for replicas in (1, 4, 32):
        for per_replica in range(4, 31, 3):
            found.append(_point(f"{replicas} replica{'s' * (replicas > 1)}", per_replica, replicas, costs))
            if found[-1].p95_s > 3:
                break
    return found


def dispatches(costs: Costs) -> list[Point]:
    """Return how long short uploads take with 32 replicas, by the rule that selects the replica of a call."""
    rules: tuple[Dispatch, ...] = ("chance", "two choices")
    found = []
    for rule in rules:
        for per_replica in (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12):
            load = Load(uploads_per_s=per_replica * 32)
            size = Size(fronts_for(load, costs), 32, rule, max_queue=UNBOUNDED)
            outcome = simulate(load, size, costs, seconds=max(20.0, 10_000 / load.uploads_per_s))
            shares = (outcome.partial_share, outcome.refused_share, outcome.replica_share)
            p95_s = outcome.p95(outcome.uploads_s)
            found.append(Point(rule, per_replica, round(p95_s, 3), *(round(share, 4) for share in shares)))
    return found


def bounds_of_partials(costs: Costs) -> list[Point]:
    """Return which share of the partial passes is made by fleets with 8 sessions per replica, by the bound on a front's live passes."""
    found = []
    for name in ("2 for each front", "2 for each replica"):
        for replicas in (1, 2, 4, 8, 16, 32):
            fronts = fronts_for(Load(sessions=8 * replicas), costs)
            passes = 2 if name == "2 for each front" else max(2, 2 * replicas // fronts)
            found.append(replace(_point(name, 8, replicas, costs, busy_passes=passes), x=replicas))
    return found


def _point(name: str, per_replica: int, replicas: int, costs: Costs, *, busy_passes: int = UNBOUNDED) -> Point:
    load = Load(sessions=per_replica * replicas)
    size = Size(fronts_for(load, costs), replicas, busy_passes=busy_passes, max_queue=UNBOUNDED)
    outcome = simulate(load, size, costs, seconds=min(600.0, max(40.0, 15_000 / load.sessions)))
    p95_s = outcome.p95(outcome.turns_s)
    shares = (outcome.partial_share, outcome.refused_share, outcome.replica_share)
    return Point(name, per_replica, round(p95_s, 3), *(round(share, 4) for share in shares))


def mixed(costs: Costs, note: Callable[[str], None]) -> list[dict[str, float]]:
    """Return the replicas for sessions and hours of files at once: files use what live sessions leave."""
    found = []
    for sessions, hours in ((0, 100), (100, 0), (100, 10), (100, 100), (1000, 0), (1000, 100), (1000, 1000)):
        load = Load(sessions=sessions, audio_hours_per_hour=hours)
        size = Size(1, max(1, sessions // 12 + hours // 20), busy_passes=UNBOUNDED, max_queue=UNBOUNDED)
        answer = fewest(load, costs, TARGET, size, seconds=120 if sessions < 1000 else 40)
        size, outcome = answer.size, answer.outcome
        p95_s = outcome.p95(outcome.turns_s) if sessions else 0.0
        found.append({
            "sessions": sessions, "hours": hours, "fronts": size.fronts, "replicas": size.replicas, "p95_s": round(p95_s, 3),
            "replica_share": round(outcome.replica_share, 3),
        })  # fmt: skip
        note(f"{found[-1]}")
    return found


def all_of(costs: Costs, note: Callable[[str], None]) -> dict[str, Callable[[], list[dict[str, float]]]]:
    """Return every study by its name; each takes a minute or more."""
    return {
        "pooling": lambda: [asdict(point) for point in pooling(costs)],
        "dispatches": lambda: [asdict(point) for point in dispatches(costs)],
        "partials": lambda: [asdict(point) for point in bounds_of_partials(costs)],
        "mixed": lambda: mixed(costs, note),
        "fleets": lambda: [asdict(one) for one in fleets(costs, note)],
        "fleets, GPU, batches of 4": lambda: [asdict(one) for one in fleets(gpu(costs, batch=4), note)],
        "fleets, GPU, batches of 16": lambda: [asdict(one) for one in fleets(gpu(costs, batch=16), note)],
    }
