"""`python -m benchmarks capacity`: the fleet for a load, by simulation; and the measurements, checks and plots behind it."""

from __future__ import annotations

import argparse
import asyncio
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from benchmarks.capacity import comparison, measuring, page, studies
from benchmarks.capacity.costs import RESULTS, Costs
from benchmarks.capacity.fleet import Size
from benchmarks.capacity.live import Talk
from benchmarks.capacity.scenario import Load
from benchmarks.capacity.sizing import Answer, Target, fewest, replicas_for


def main(arguments: Sequence[str]) -> int:
    """Do what the command line says; return 1 if the check differs by more than its limit, else 0."""
    given = parsed(arguments)
    if given.measure:
        costs = asyncio.run(measuring.measure(given.corpus))
        print(json.dumps(costs.data(), indent=1))
        keep("costs", costs.data(), given.save)
        return 0
    costs = Costs.of(json.loads(given.costs.read_text(encoding="utf-8"))["costs"])
    if given.check:
        rows = asyncio.run(comparison.check(given.corpus, costs))
        keep("check", [asdict(row) for row in rows], given.save)
        return int(any(abs(row.error) > comparison.WITHIN for row in rows if row.runner == comparison.KNOWN))
    if given.studies:
        found = dict(json.loads(RESULTS.read_text(encoding="utf-8")).get("studies", {}))
        for name, study in studies.all_of(costs, lambda line: print(f"  {line}", flush=True)).items():
            if not given.only or name in given.only:
                print(name, flush=True)
                found[name] = study()
                keep("studies", found, given.save)
        return 0
    if given.page:
        page.write(json.loads(RESULTS.read_text(encoding="utf-8")))
        return 0
    used = studies.gpu(costs, batch=costs.replica.batch) if given.gpu else costs
    print(report(answer(given, used), used))
    return 0


def parsed(arguments: Sequence[str]) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks capacity", description=__doc__)
    parser.add_argument("--sessions", type=int, default=100, help="live sessions that are open at the same time (100)")
    parser.add_argument("--speech", type=float, default=4.0, metavar="S", help="mean length of an utterance, in seconds (4)")
    parser.add_argument("--pause", type=float, default=6.0, metavar="S", help="mean pause between two utterances, in seconds (6)")
    parser.add_argument("--hours", type=float, default=0.0, help="hours of audio in long files that arrive per hour (0)")
    parser.add_argument("--uploads", type=float, default=0.0, metavar="PER_S", help="short uploads per second (0)")
    parser.add_argument("--p95", type=float, default=1.0, metavar="S", help="95th percentile from the end of speech to its text (1)")
    parser.add_argument("--partials", type=float, default=0.5, metavar="SHARE", help="least share of the partial passes (0.5)")
    parser.add_argument("--upload-p95", type=float, default=3.0, metavar="S", help="95th percentile of a short upload (3)")
    parser.add_argument("--seconds", type=float, default=120.0, metavar="S", help="time to simulate (120)")
    parser.add_argument("--costs", type=Path, default=RESULTS, metavar="FILE", help="measured service times (those of this repository)")
    parser.add_argument("--gpu", action="store_true", help="assume a GPU in each replica; its times are not measured")
    parser.add_argument("--measure", action="store_true", help="measure the service times of a server on this machine")
    parser.add_argument("--check", action="store_true", help="compare the simulation with a server on this machine")
    parser.add_argument("--studies", action="store_true", help="simulate what docs/scale.md shows")
    parser.add_argument("--only", action="append", default=[], metavar="STUDY", help="one of the studies; may be repeated")
    parser.add_argument("--page", action="store_true", help="write docs/scale.md and its plots from the saved results")
    parser.add_argument("--corpus", type=Path, metavar="DIR", action="append", default=[], help="more recordings, as for `stt`")
    parser.add_argument("--save", action="store_true", help="write the results into benchmarks/results/capacity.json")
    return parser.parse_args(arguments)


def answer(given: argparse.Namespace, costs: Costs) -> Answer:
    """Return the smallest fleet for the load of the command line."""
    load = Load(given.sessions, Talk(given.speech, given.pause), given.uploads, given.hours)
    size = Size(1, replicas_for(load, costs), busy_passes=studies.UNBOUNDED, max_queue=studies.UNBOUNDED)
    return fewest(load, costs, Target(given.p95, given.upload_p95, partials=given.partials), size, seconds=given.seconds)


def report(found: Answer, costs: Costs) -> str:
    """Return an answer in words."""
    size, outcome = found.size, found.outcome
    lines = [
        f"replicas: {size.replicas}, busy {outcome.replica_share:.0%} of the time",
        f"fronts: {size.fronts}, whose processors are used {outcome.front_share:.0%} of the time",
    ]
    if outcome.turns_s:
        lines.append(f"end of speech to text: 95 % within {outcome.p95(outcome.turns_s):.2f} s")
        lines.append(f"partial passes: {outcome.partial_share:.0%} of those that an idle fleet makes")
    if outcome.uploads_s:
        lines.append(f"short uploads: 95 % within {outcome.p95(outcome.uploads_s):.2f} s")
    if outcome.file_audio_s:
        lines.append(f"long files: {outcome.file_audio_s:.0f} s of audio transcribed in the counted time")
    return "\n".join([*lines, f"service times: {costs.source}"])


def keep(name: str, found: object, save: bool) -> None:
    """With `save`, write a result into the results of this benchmark; the others stay."""
    if save:
        data = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
        data[name] = found
        RESULTS.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
