"""The simulation against a server on this machine: the same uploads at the same times, `python -m benchmarks capacity --check`.

Two runners: one that takes exactly known times (timed_runner.py), which checks the queues, and Whisper, which checks the service times as
well, as far as other programs leave the processor alone.
"""

from __future__ import annotations

import asyncio
import random
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import httpx

from benchmarks.capacity import timed_runner
from benchmarks.capacity.costs import Clip, Costs
from benchmarks.capacity.fleet import Size
from benchmarks.capacity.measuring import BATCH, WORKERS, Rig, rig
from benchmarks.capacity.outcome import percentile
from benchmarks.capacity.scenario import replay

SHARES = (0.3, 0.6, 0.8)
"""Loads, as shares of what the replica can do with full batches."""
UPLOADS = 150
ROUNDS = 3
WITHIN = 0.15
KNOWN = "known times"
SEED = 18


@dataclass(frozen=True, slots=True)
class Compared:
    """One load: times in seconds from upload to transcript, measured and simulated."""

    runner: str
    share: float
    per_s: float
    uploads: int
    refused: int
    median_s: float
    simulated_median_s: float
    p95_s: float
    simulated_p95_s: float
    drift: float
    """Largest change of the time of a window during the load, as a share: what other programs on the machine did."""

    @property
    def error(self) -> float:
        """Difference of the 95th percentiles, as a share of the measured one."""
        return self.simulated_p95_s / self.p95_s - 1


def arrivals(per_s: float, clips: int, dice: random.Random) -> list[tuple[float, int]]:
    """Return the times and the clips of UPLOADS independent uploads, so many per second on average."""
    at_s, found = 0.0, []
    for _ in range(UPLOADS):
        at_s += dice.expovariate(per_s)
        found.append((at_s, dice.randrange(clips)))
    return found


async def send(server: Rig, uploads: Sequence[tuple[float, int]]) -> tuple[list[float], int]:
    """Send uploads at their times, whatever the answers do; return the times of the answers, and how many were refused."""
    times: list[float] = []
    refused = 0
    began = asyncio.get_running_loop().time()

    async def one(at_s: float, number: int) -> None:
        nonlocal refused
        await asyncio.sleep(began + at_s - asyncio.get_running_loop().time())
        try:
            times.append(await server.transcribe(number))
        except httpx.HTTPStatusError as error:
            if error.response.status_code != 429:
                raise
            refused += 1

    await asyncio.gather(*(one(at_s, number) for at_s, number in uploads))
    return times, refused


async def calibrated(server: Rig, costs: Costs, known: Sequence[float]) -> Costs:
    """Return the costs as the machine is now, by the clock: of windows alone, of two at once, and of what is neither front nor runner.

    `known` are the times of the windows if they are known; otherwise `costs` has that rest, and the windows take what is left.
    """
    alone = await server.alone(ROUNDS)
    two, _ = await server.at_once(WORKERS, list(range(len(alone))) * ROUNDS)
    front = costs.front
    lengths = [clip.seconds for clip in server.clips]
    fronts_s = [front.request_s + length * front.upload_audio_s for length in lengths]
    if known:
        rest = statistics.mean(took - window - cpu for took, window, cpu in zip(alone, known, fronts_s, strict=True))
        front = replace(front, hop_s=max(0.0, rest))
        clips = [Clip(length, window) for length, window in zip(lengths, known, strict=True)]
        return replace(costs, clips=tuple(clips), front=front)
    clips = [Clip(length, max(0.01, took - cpu - front.hop_s)) for length, took, cpu in zip(lengths, alone, fronts_s, strict=True)]
    outside = statistics.mean(fronts_s) + front.hop_s
    slowdown = max(1.0, (statistics.mean(two) - outside) / (statistics.mean(alone) - outside))
    return replace(costs, clips=tuple(clips), replica=replace(costs.replica, slowdown=(1.0, slowdown)))


async def compare(server: Rig, name: str, costs: Costs, known: Sequence[float] = ()) -> list[Compared]:
    """Put each load on the server, and on the simulation of it."""
    found, dice = [], random.Random(SEED)
    for share in SHARES:
        before = await calibrated(server, costs, known)
        mean_s = statistics.mean(clip.single_s for clip in before.clips)
        replica = before.replica
        per_s = share * BATCH * WORKERS / (replica.batch_s([mean_s] * BATCH) * replica.slowdown[-1])
        uploads = arrivals(per_s, len(before.clips), dice)
        times, refused = await send(server, uploads)
        after = await calibrated(server, costs, known)
        outcome = replay(uploads, Size(fronts=1, replicas=1), between(before, after))
        found.append(
            Compared(
                name, share, per_s, len(times), refused,
                statistics.median(times), statistics.median(outcome.uploads_s),
                percentile(times, 0.95), percentile(outcome.uploads_s, 0.95),
                drift(before, after),
            )
        )  # fmt: skip
        print(f"  {row(found[-1])}", flush=True)
    return found


def between(one: Costs, other: Costs) -> Costs:
    """Return the mean of two calibrations."""
    clips = (Clip(a.seconds, (a.single_s + b.single_s) / 2) for a, b in zip(one.clips, other.clips, strict=True))
    slowdown = tuple((a + b) / 2 for a, b in zip(one.replica.slowdown, other.replica.slowdown, strict=True))
    front = replace(one.front, hop_s=(one.front.hop_s + other.front.hop_s) / 2)
    return replace(one, clips=tuple(clips), replica=replace(one.replica, slowdown=slowdown), front=front)


def drift(one: Costs, other: Costs) -> float:
    """Return by how much two calibrations differ, as a share of the smaller: the time of a clip alone, or beside another one."""
    alone = [statistics.mean(clip.single_s for clip in costs.clips) + costs.front.hop_s for costs in (one, other)]
    beside = [mean_s * costs.replica.slowdown[-1] for mean_s, costs in zip(alone, (one, other), strict=True)]
    return max(max(alone) / min(alone), max(beside) / min(beside)) - 1


HEAD = (
    "| Runner | Load | Uploads per s | 429 | Median, s | Simulated | 95th percentile, s | Simulated | Difference | Machine changed by |\n"
    "|---|---|---|---|---|---|---|---|---|---|"
)


def row(one: Compared) -> str:
    """Return a row of a Markdown table."""
    cells = [one.runner, f"{one.share:.0%}", f"{one.per_s:.1f}", str(one.refused), f"{one.median_s:.2f}", f"{one.simulated_median_s:.2f}"]
    cells += [f"{one.p95_s:.2f}", f"{one.simulated_p95_s:.2f}", f"{one.error:+.0%}", f"{one.drift:.0%}"]
    return "| " + " | ".join(cells) + " |"


async def check(corpora: Sequence[Path], costs: Costs) -> list[Compared]:
    """Compare both runners with their simulations; print and return the rows."""
    print(HEAD)
    async with rig(corpora, timed_runner.BACKEND) as server:
        known = [float(await server.text(number)) for number in range(len(server.clips))]
        timed = replace(costs, replica=timed_runner.COSTS)
        found = await compare(server, KNOWN, timed, known)
        hop_s = (await calibrated(server, timed, known)).front.hop_s
    async with rig(corpora) as server:
        found += await compare(server, "Whisper base", replace(costs, front=replace(costs.front, hop_s=hop_s)))
    return found
