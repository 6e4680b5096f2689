"""A series of attacks on one server for a limited time, and checks for wrong responses, hangs, tracebacks, and leaks."""

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
"""Concurrent attackers."""
LONGEST_WAIT_S = 5.0
"""Maximum latency of a probe during the attacks, on two processors that also decode, synthesize and transcribe."""
GROWTH_MB = 60.0
"""Memory that the allocator of a process may retain: the maximum growth from the warm-up to the end of the attacks."""
LOOKS, SETTLE_S = 5, 3.0
"""Measurements of memory after the attacks, with a round of all attacks between two: leaked memory remains, while memory that glibc
retains at the end of a thread's heap (64 MB at most) is returned when another block there is freed."""
GROWTH_FILES = 20
"""Maximum growth of the number of descriptors."""
WARM_UP = 3
"""Rounds of all attacks before memory is measured: afterwards every codec is imported, and every pool is filled."""
HARMLESS = ("Invalid UTF-8 sequence received from client",)
"""Tracebacks that uvicorn logs for a client's mistake."""
CHECKS = "not_a_server_error,content_type_conformance,response_schema_conformance,status_code_conformance"
TONES = {
    "STT_BACKENDS": "tones-stt", "TTS_BACKENDS": "tones-tts", "STT_MODEL": "tones/listen", "TTS_MODEL": "tones/speak", "TTS_VOICE": "tone",
    "OS_OFFLINE": "true", "OS_STREAM_MAX_CONNECTIONS": "64",
}  # fmt: skip


@dataclass
class Report:
    """The results."""

    attacks: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    """Each with the attack's name and seed."""
    waits_s: list[float] = field(default_factory=list)
    """Latency of each probe."""
    growth: dict[str, float] = field(default_factory=dict)
    """Growth of each process's memory since the warm-up, in MB."""

    def print(self) -> None:
        """Print the results in a few lines."""
        waits = sorted(self.waits_s) or [0.0]
        print(f"  {self.attacks} attacks: {', '.join(f'{outcome} {count}' for outcome, count in self.outcomes.most_common())}")
        print(f"  a probe waited {waits[len(waits) // 2] * 1000:.0f} ms in the median, {waits[-1] * 1000:.0f} ms at most")
        print("  memory after: " + ", ".join(f"{name} {grown:+.0f} MB" for name, grown in self.growth.items()))
        for fault in self.faults:
            print(f"  FAULT {fault}")


def run(minutes: float, *, seed: int | None = None) -> int:
    """Attack a server without weights for `minutes`, half of them by its OpenAPI document; return the number of faults."""
    wyoming_port = free_port()
    with serve({**TONES, **MEASURED, "OS_WYOMING_ENABLED": "true", "OS_WYOMING_PORT": str(wyoming_port)}) as served:
        target = Target(int(served.url.rpartition(":")[2]), wyoming_port)
        report = asyncio.run(attacked(served, target, minutes * 30, round(time.time()) if seed is None else seed))
        report.print()
        return len(report.faults) + by_schema(served, minutes * 30, seed or 1)


async def attacked(served: Served, target: Target, seconds: float, seed: int) -> Report:
    """Attack a server for `seconds` with all attacks in turn, each time with another seed."""
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
    """Yield the names of all attacks in turn, endlessly, with a new seed in each round."""
    while True:
        for name in ATTACKS:
            yield name, seed
        seed += 1


async def one(target: Target, name: str, seed: int, report: Report) -> None:
    """Run one attack, and record its outcome."""
    report.attacks += 1
    try:
        async with asyncio.timeout(4 * DEADLINE_S):
            report.outcomes[await ATTACKS[name](target, Random(f"{name}/{seed}"))] += 1
    except (Fault, OSError, TimeoutError) as fault:  # a server that accepts no connection is also at fault
        report.faults.append(f"{name!r}, seed {seed}: {fault!r}")


async def _probe(served: Served, report: Report) -> None:
    """Probe the server's liveness every 0.25 s, as a supervisor would."""
    async with httpx.AsyncClient(base_url=served.url, timeout=60) as client:
        while True:
            began = time.monotonic()
            status = (await client.get("/livez")).status_code
            report.waits_s.append(time.monotonic() - began)
            if status != 200 or report.waits_s[-1] > LONGEST_WAIT_S:
                report.faults.append(f"/livez: {status} after {report.waits_s[-1]:.1f} s")
            await asyncio.sleep(0.25)


def tracebacks(served: Served) -> list[str]:
    """Return the line before each traceback in the server's log."""
    lines = served.log.read_text(errors="replace").splitlines()
    found = [lines[max(0, number - 1)] or lines[max(0, number - 2)] for number, line in enumerate(lines) if line.startswith("Traceback")]
    return [line for line in found if not any(words in line for words in HARMLESS)]


def open_files(served: Served) -> int:
    """Return the number of open descriptors of all processes."""
    count = 0
    for process in served.processes():
        with suppress(psutil.NoSuchProcess):
            count += process.num_fds()
    return count


def by_schema(served: Served, seconds: float, seed: int) -> int:
    """Send valid and invalid requests by the server's OpenAPI document, with schemathesis; return 1 if a response violates it."""
    command = [sys.executable, "-m", "schemathesis.cli", "run", f"{served.url}/openapi.json", "--checks", CHECKS, "--seed", str(seed)]
    command += ["--max-time", str(max(1, round(seconds))), "--phases", "examples,coverage,fuzzing", "--request-timeout", "30"]
    command += ["--no-shrink", "--warnings", "off"]
    done = subprocess.run(command, cwd=served.log.parent, capture_output=True, text=True, check=False)
    print("\n".join(f"  {line}" for line in done.stdout.splitlines()[-60 if done.returncode else -8 :]))
    return min(1, done.returncode)
