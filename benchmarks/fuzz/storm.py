"""A storm of attacks on one server, bounded in time, and its judgement: wrong answers, hangs, tracebacks, and what does not come back."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from random import Random

import httpx
import psutil

from benchmarks.fuzz import ATTACKS
from benchmarks.fuzz.attack import DEADLINE_S, Fault, Target
from benchmarks.served import MEASURED, Served, free_port, serve

AT_ONCE = 3
"""Attackers at the same time."""
LONGEST_WAIT_S = 5.0
"""Longest that a probe may wait for its answer while the attacks go on: two processors decode, speak and listen besides."""
GROWTH_MB = 60.0
"""Memory that a process may have more after the storm than after the warm-up: what its allocator keeps."""
LOOKS, SETTLE_S = 5, 3.0
"""Looks at the memory after the storm, with a round of all attacks between two: what is leaked stays, and what glibc keeps at the end of a
thread's heap (64 MB at most) goes when something else is freed there."""
GROWTH_FILES = 20
"""Descriptors likewise."""
WARM_UP = 3
"""Rounds of all attacks before the memory is looked at: every codec is imported then, every pool filled."""
HARMLESS = ("Invalid UTF-8 sequence received from client",)
"""Tracebacks that uvicorn writes of a client's mistake."""
CHECKS = "not_a_server_error,content_type_conformance,response_schema_conformance,status_code_conformance"
TONES = {
    "STT_BACKENDS": "tones-stt", "TTS_BACKENDS": "tones-tts", "STT_MODEL": "tones/listen", "TTS_MODEL": "tones/speak", "TTS_VOICE": "tone",
    "OS_OFFLINE": "true", "OS_STREAM_MAX_CONNECTIONS": "64",
}  # fmt: skip


@dataclass
class Report:
    """What was seen."""

    attacks: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    """Each with the attack's name and seed."""
    waits_s: list[float] = field(default_factory=list)
    """How long each probe waited."""
    growth: dict[str, float] = field(default_factory=dict)
    """MB of memory that each process has more than after the warm-up."""

    def print(self) -> None:
        """Print it in a few lines."""
        waits = sorted(self.waits_s) or [0.0]
        print(f"  {self.attacks} attacks: {', '.join(f'{outcome} {count}' for outcome, count in self.outcomes.most_common())}")
        print(f"  a probe waited {waits[len(waits) // 2] * 1000:.0f} ms in the median, {waits[-1] * 1000:.0f} ms at most")
        print("  memory after: " + ", ".join(f"{name} {grown:+.0f} MB" for name, grown in self.growth.items()))
        for fault in self.faults:
            print(f"  FAULT {fault}")


def run(minutes: float, *, seed: int | None = None) -> int:
    """Start a server without weights and attack it for `minutes`, half of them by its own OpenAPI document; the number of faults."""
    wyoming_port = free_port()
    with serve({**TONES, **MEASURED, "OS_WYOMING_ENABLED": "true", "OS_WYOMING_PORT": str(wyoming_port)}) as served:
        target = Target(int(served.url.rpartition(":")[2]), wyoming_port)
        report = asyncio.run(attacked(served, target, minutes * 30, round(time.time()) if seed is None else seed))
        report.print()
        return len(report.faults) + by_schema(served, minutes * 30, seed or 1)


async def attacked(served: Served, target: Target, seconds: float, seed: int) -> Report:
    """Attack a server for a while: all attacks in turn, each time with other numbers."""
    report = Report()
    rounds = turns(seed)
    for _ in range(WARM_UP * len(ATTACKS)):
        await one(target, *next(rounds), report)
    before, files = served.memory_mb(), open_files(served)
    lines = tracebacks(served)
    ends = time.monotonic() + seconds

    async def attacker() -> None:
        while time.monotonic() < ends:
            await one(target, *next(rounds), report)

    probing = asyncio.create_task(_probe(served, report))
    await asyncio.gather(*(attacker() for _ in range(AT_ONCE)))
    probing.cancel()
    with suppress(asyncio.CancelledError):
        await probing
    for look in range(LOOKS):
        for _ in ATTACKS if look else ():
            await one(target, *next(rounds), report)
        await asyncio.sleep(SETTLE_S)
        grown = {name: size - before.get(name, 0.0) for name, size in served.memory_mb().items()}
        report.growth = {name: min(more, report.growth.get(name, more)) for name, more in grown.items()}
        if max(report.growth.values()) <= GROWTH_MB:
            break
    report.faults += [f"in the log: {line}" for line in tracebacks(served)[len(lines) :]]
    report.faults += [f"{name} grew by {grown:.0f} MB" for name, grown in report.growth.items() if grown > GROWTH_MB]
    report.faults += [f"{more} descriptors more" for more in [open_files(served) - files] if more > GROWTH_FILES]
    return report


def turns(seed: int) -> Iterator[tuple[str, int]]:
    """Name all attacks in turn without end, each with a seed of its own."""
    while True:
        for name in ATTACKS:
            yield name, seed
        seed += 1


async def one(target: Target, name: str, seed: int, report: Report) -> None:
    """Do one attack, and note how it ended."""
    report.attacks += 1
    try:
        async with asyncio.timeout(4 * DEADLINE_S):
            report.outcomes[await ATTACKS[name](target, Random(f"{name}/{seed}"))] += 1
    except (Fault, OSError, TimeoutError) as fault:  # a server that takes no connection is at fault, too
        report.faults.append(f"{name!r}, seed {seed}: {fault!r}")


async def _probe(served: Served, report: Report) -> None:
    """Ask the server now and then whether it lives, as its supervisor would."""
    async with httpx.AsyncClient(base_url=served.url, timeout=60) as client:
        while True:
            began = time.monotonic()
            status = (await client.get("/livez")).status_code
            report.waits_s.append(time.monotonic() - began)
            if status != 200 or report.waits_s[-1] > LONGEST_WAIT_S:
                report.faults.append(f"/livez: {status} after {report.waits_s[-1]:.1f} s")
            await asyncio.sleep(0.25)


def tracebacks(served: Served) -> list[str]:
    """Name the tracebacks in the server's log by the line before each."""
    lines = served.log.read_text(errors="replace").splitlines()
    found = [lines[max(0, number - 1)] or lines[max(0, number - 2)] for number, line in enumerate(lines) if line.startswith("Traceback")]
    return [line for line in found if not any(words in line for words in HARMLESS)]


def open_files(served: Served) -> int:
    """Count the descriptors of all processes."""
    count = 0
    for process in served.processes():
        with suppress(psutil.NoSuchProcess):
            count += process.num_fds()
    return count


def by_schema(served: Served, seconds: float, seed: int) -> int:
    """Have schemathesis make requests of our OpenAPI document, right ones and wrong ones; 1 if an answer breaks it."""
    command = [sys.executable, "-m", "schemathesis.cli", "run", f"{served.url}/openapi.json", "--checks", CHECKS, "--seed", str(seed)]
    command += ["--max-time", str(max(1, round(seconds))), "--phases", "examples,coverage,fuzzing", "--request-timeout", "30"]
    command += ["--no-shrink", "--warnings", "off"]
    done = subprocess.run(command, cwd=served.log.parent, capture_output=True, text=True, check=False)
    print("\n".join(f"  {line}" for line in done.stdout.splitlines()[-60 if done.returncode else -8 :]))
    return min(1, done.returncode)
