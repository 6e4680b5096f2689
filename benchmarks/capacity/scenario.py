"""A load on a fleet: what is simulated, and how."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from benchmarks.capacity.costs import Costs
from benchmarks.capacity.events import Simulation
from benchmarks.capacity.fleet import Fleet, Size
from benchmarks.capacity.live import Session, Talk
from benchmarks.capacity.outcome import Outcome
from benchmarks.capacity.uploads import Arrivals, Windows, windows_of_file

WARM_UP = 0.25
"""Share of a run that does not count: the fleet is empty at its start."""


@dataclass(frozen=True, slots=True)
class Load:
    """What clients do."""

    sessions: int = 0
    """Live sessions that are open all the time."""
    talk: Talk = field(default_factory=Talk)
    uploads_per_s: float = 0.0
    """Short clips, as measured in `Costs.clips`."""
    audio_hours_per_hour: float = 0.0
    """Long files, which arrive at equal intervals."""
    file_s: float = 600.0
    """Seconds of a long file."""


def simulate(load: Load, size: Size, costs: Costs, *, seconds: float, seed: int = 0) -> Outcome:
    """Run a load on a fleet for so many seconds, of which the first WARM_UP do not count; the same seed gives the same result.

    Raises ValueError if the live sessions need more than the processors of the fronts.
    """
    dice = random.Random(seed)
    simulation = Simulation()
    fleet = Fleet(simulation, size, costs, dice)
    outcome = Outcome()
    for number in range(load.sessions):
        front = fleet.front()
        front.live_share += costs.front.live_audio_s
        session = Session(simulation, front, costs, load.talk, outcome, dice, f"live-{number}")
        session.start(dice.uniform(0, load.talk.speech_s + load.talk.pause_s))
    if (most := max(front.live_share for front in fleet.fronts)) >= 1:
        raise ValueError(f"the live sessions of one front need {most:.2f} of its processor")
    _uploads(load, costs, simulation, fleet, outcome, dice)
    simulation.run(seconds * WARM_UP)
    busy_s, cpu_s = _used(fleet)
    outcome.reset()
    simulation.run(seconds)
    later_busy_s, later_cpu_s = _used(fleet)
    counted_s = seconds * (1 - WARM_UP)
    outcome.replica_share = (later_busy_s - busy_s) / (counted_s * size.replicas * costs.replica.workers)
    live_share = sum(front.live_share for front in fleet.fronts) / size.fronts
    outcome.front_share = live_share + (later_cpu_s - cpu_s) / (counted_s * size.fronts)
    return outcome


def _used(fleet: Fleet) -> tuple[float, float]:
    return sum(replica.busy_s for replica in fleet.replicas), sum(front.cpu_s for front in fleet.fronts)


def _uploads(  # noqa: PLR0913 - the parts of the simulation
    load: Load, costs: Costs, simulation: Simulation, fleet: Fleet, outcome: Outcome, dice: random.Random
) -> None:
    arrivals = Arrivals(simulation, fleet, costs)

    def uploaded(took_s: float | None) -> None:
        if took_s is None:
            outcome.refused += 1
        else:
            outcome.uploads_s.append(took_s)

    def transcribed(took_s: float | None) -> None:
        if took_s is None:
            outcome.refused += 1
        else:
            outcome.files_s.append(took_s)

    def decoded(audio_s: float) -> None:
        outcome.file_audio_s += audio_s

    def clip() -> Windows:
        one = dice.choice(costs.clips)
        return [(one.seconds, one.single_s)]

    arrivals.at_random(load.uploads_per_s, clip, uploaded, dice)
    files_per_s = load.audio_hours_per_hour / load.file_s
    arrivals.evenly(files_per_s, lambda: windows_of_file(load.file_s, costs, dice), transcribed, decoded)


def replay(clips: list[tuple[float, int]], size: Size, costs: Costs) -> Outcome:
    """Run uploads at given times, each with the number of its clip in `Costs.clips`; all count."""
    simulation = Simulation()
    fleet = Fleet(simulation, size, costs, random.Random(0))
    outcome = Outcome()
    arrivals = Arrivals(simulation, fleet, costs)

    def uploaded(took_s: float | None) -> None:
        if took_s is None:
            outcome.refused += 1
        else:
            outcome.uploads_s.append(took_s)

    for at_s, number in clips:
        clip = costs.clips[number]
        simulation.after(at_s, lambda clip=clip: arrivals.one([(clip.seconds, clip.single_s)], uploaded))
    simulation.run()
    return outcome
