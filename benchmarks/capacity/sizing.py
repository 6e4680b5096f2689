"""How many fronts and replicas a load needs: the smallest fleet that keeps the targets, found by simulation."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from benchmarks.capacity.costs import Costs
from benchmarks.capacity.fleet import Size
from benchmarks.capacity.live import possible_partials
from benchmarks.capacity.outcome import Outcome
from benchmarks.capacity.scenario import WARM_UP, Load, simulate
from benchmarks.capacity.uploads import WINDOW_S

FRONT_SHARE = 0.6
"""Share of a front's processor that is planned; the rest is for peaks, and for the work that the simulation does not know."""


@dataclass(frozen=True, slots=True)
class Target:
    """What must hold."""

    turn_s: float = 1.0
    """95th percentile from the end of speech to the final text of a live session."""
    upload_s: float = 2.0
    """95th percentile of a short upload."""
    refused: float = 0.001
    """Share of refused requests."""
    partials: float = 0.0
    """Least share of the partial passes that an idle fleet would make."""
    files: float = 0.95
    """Least share of the audio of long files that must be transcribed as it arrives."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A fleet, and what it does under the load."""

    size: Size
    outcome: Outcome


def keeps(outcome: Outcome, load: Load, target: Target, counted_s: float) -> bool:
    """Return whether an outcome keeps the targets. What a load does not have, no target is for."""
    due_s = load.audio_hours_per_hour * counted_s
    return not (
        outcome.refused_share > target.refused
        or outcome.p95(outcome.turns_s) > target.turn_s
        or outcome.p95(outcome.uploads_s) > target.upload_s
        or outcome.partial_share < target.partials
        or outcome.file_audio_s < target.files * due_s - load.file_s
    )


def fronts_for(load: Load, costs: Costs) -> int:
    """Return the fronts whose processors the load uses to FRONT_SHARE."""
    mean_s = sum(clip.seconds for clip in costs.clips) / max(1, len(costs.clips))
    front = costs.front
    needed = load.sessions * front.live_audio_s + load.uploads_per_s * (front.request_s + mean_s * front.upload_audio_s)
    needed += load.audio_hours_per_hour * (front.upload_audio_s + front.request_s / load.file_s)
    return max(1, math.ceil(needed / FRONT_SHARE))


def replicas_for(load: Load, costs: Costs) -> int:
    """Return the replicas whose workers would be busy all the time with full batches and half of the partial passes: a first guess."""
    replica, talk = costs.replica, load.talk
    final_s = replica.single_s(talk.speech_s)
    turn_s = final_s + 0.5 * possible_partials(talk.speech_s) * replica.partial * replica.single_s(talk.speech_s / 2)
    needed = load.sessions * turn_s / (talk.speech_s + talk.pause_s)
    needed += load.uploads_per_s * sum(clip.single_s for clip in costs.clips) / max(1, len(costs.clips))
    needed += load.audio_hours_per_hour * replica.single_s(WINDOW_S) / WINDOW_S
    in_batches = (1 + replica.more * (replica.batch - 1)) / replica.batch
    return max(1, math.ceil(needed * in_batches * replica.slowdown[-1] / replica.workers))


def fewest(  # noqa: PLR0913 - the load, the targets, and how to simulate
    load: Load, costs: Costs, target: Target, size: Size, *, seconds: float, seed: int = 0, most: int = 100_000
) -> Answer:
    """Return the fleet with the fewest replicas that keeps the target, with as many fronts as `fronts_for` says; the rest is as in `size`.

    The search begins at `size.replicas`, goes up or down by a tenth, and narrows the number to 4 %. Raises ValueError if `most` replicas do
    not suffice.
    """
    size = replace(size, fronts=fronts_for(load, costs))
    tried: dict[int, Outcome] = {}

    def is_enough(replicas: int) -> bool:
        outcome = tried[replicas] = simulate(load, replace(size, replicas=replicas), costs, seconds=seconds, seed=seed)
        return keeps(outcome, load, target, (1 - WARM_UP) * seconds)

    low, high = 0, max(1, size.replicas)
    if is_enough(high):
        while high > 1 and is_enough(fewer := min(high - 1, high * 9 // 10)):
            high = fewer
        low = min(high - 1, high * 9 // 10)
    else:
        low, high = high, max(high + 1, math.ceil(high * 1.1))
        while not is_enough(high):
            low, high = high, max(high + 1, math.ceil(high * 1.1))
            if high > most:
                raise ValueError(f"no number of replicas up to {most} keeps the target")
    while high - low > max(1, high // 25):
        middle = (low + high) // 2
        low, high = (low, middle) if is_enough(middle) else (middle, high)
    return Answer(replace(size, replicas=high), tried[high])
