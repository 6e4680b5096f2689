"""The cost of bodies that grow when parsed: the server's memory at the peak and afterwards, and the latency of a probe, per attack."""

from __future__ import annotations

import asyncio
import http.client
import multiprocessing
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from random import Random

from benchmarks.fuzz.attack import Fault, Target
from benchmarks.fuzz.growth import ATTACKS, WARM_UP
from benchmarks.fuzz.storm import TONES
from benchmarks.served import free_port, serve

AT_ONCE, ROUNDS, LEAST_S = 2, 3, 1.0
"""Concurrent attackers, minimum attacks of each, and minimum duration in seconds, which allows for several probes."""
EVERY_S = 0.02
"""Seconds between two probes."""
SETTLE_S = 2.0
"""Seconds from the end of an attack to the measurement of memory."""
LOOKS = 15
"""Measurements of memory after all attacks, SETTLE_S apart: minutes of audio that were sent at once are still transcribed for a while."""
MEDIAN_MS, LONGEST_MS, KEPT_MB = 50.0, 250.0, 50.0
"""Limits on the median and maximum latency of a probe, and on the memory that all attacks together leave allocated."""


@dataclass(frozen=True, slots=True)
class Cost:
    """The cost of one attack."""

    name: str
    outcome: str
    peak_mb: float
    """Memory (RSS) above that before the attack, at the peak."""
    kept_mb: float
    """The same, after SETTLE_S seconds."""
    waits_ms: tuple[float, ...]
    late_ms: float
    """Largest scheduling delay of the probing process itself: on a busy machine, it also delays probes."""

    def row(self) -> str:
        """Return a row of the table."""
        median, longest = statistics.median(self.waits_ms), max(self.waits_ms)
        memory = f"{self.peak_mb:>9.0f}{self.kept_mb:>9.0f}"
        return f"  {self.name:<48}{self.outcome:>10}{memory}{median:>9.1f}{longest:>9.0f}{self.late_ms:>9.0f}"


def run() -> int:
    """Start a server without weights and run every attack; return the number of limits that were exceeded."""
    port = free_port()
    with serve({**TONES, "OS_WYOMING_ENABLED": "true", "OS_WYOMING_PORT": str(port)}) as served:
        target = Target(int(served.url.rpartition(":")[2]), port)
        front = served.pid_of("open_speech")
        wyoming = served.pid_of("wyoming_door")
        print(f"  {'':<48}{'answer':>10}{'peak MB':>9}{'kept MB':>9}{'median':>9}{'worst ms':>9}{'late ms':>9}")
        asyncio.run(_warm_up(target))
        before = _memory_mb(front) + _memory_mb(wyoming)
        costs = []
        for name in ATTACKS:
            costs.append(measured(target, name, wyoming if "Wyoming" in name else front))
            print(costs[-1].row(), flush=True)
        for _ in range(LOOKS):
            kept = _memory_mb(front) + _memory_mb(wyoming) - before
            if kept <= KEPT_MB:
                break
            time.sleep(SETTLE_S)
    print(f"  all attacks together left {kept:.0f} MB")
    slow = [c.name for c in costs if statistics.median(c.waits_ms) > MEDIAN_MS or max(c.waits_ms) > LONGEST_MS]
    for name in slow:
        print(f"  FAULT {name!r}: a probe waited too long")
    return len(slow) + (kept > KEPT_MB)


async def _warm_up(target: Target) -> None:
    """Use every endpoint once with a little audio, so that models loaded then, such as the speech detector, do not count as growth."""
    for attack in WARM_UP:
        await attack(target, Random(0))
    await asyncio.sleep(SETTLE_S)


def measured(target: Target, name: str, pid: int) -> Cost:
    """Run one attack several times while a separate process probes the server; the memory of `pid` is measured."""
    attack = ATTACKS[name]
    before = _memory_mb(pid)
    Path(f"/proc/{pid}/clear_refs").write_text("5")  # resets the peak
    outcomes: set[str] = set()

    async def attacker() -> None:
        ends = time.monotonic() + LEAST_S
        done = 0
        while done < ROUNDS or time.monotonic() < ends:
            done += 1
            try:
                outcomes.add(await attack(target, Random(0)))
            except Fault as fault:
                outcomes.add("FAULT")
                print(f"  {name}: {str(fault)[:200]}")

    async def attackers() -> None:
        await asyncio.gather(*(attacker() for _ in range(AT_ONCE)))

    with probing(target) as waits:
        asyncio.run(attackers())
    peak = _memory_mb(pid, "VmHWM")
    time.sleep(SETTLE_S)
    kept, late = _memory_mb(pid) - before, waits.pop()
    return Cost(name.partition(": ")[2], "/".join(sorted(outcomes)), peak - before, kept, tuple(waits), late)


@contextmanager
def probing(target: Target) -> Iterator[list[float]]:
    """Probe the server from a separate process until the block ends.

    The list then contains the latency of each probe in milliseconds, and as last item the process's largest scheduling delay.
    """
    ours, theirs = multiprocessing.get_context("spawn").Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_probe, args=(target.host, target.port, theirs))
    process.start()
    waits: list[float] = []
    ours.recv()
    try:
        yield waits
    finally:
        ours.send(None)
        waits += ours.recv()
        process.join()


def _probe(host: str, port: int, pipe: Connection) -> None:
    waits: list[float] = []
    connection = http.client.HTTPConnection(host, port, timeout=60)
    pipe.send(None)
    late = 0.0
    while True:
        slept = time.monotonic()
        if pipe.poll(EVERY_S):
            break
        began = time.monotonic()
        late = max(late, 1000 * (began - slept - EVERY_S))
        try:
            connection.request("GET", "/livez")
            connection.getresponse().read()
        except (http.client.HTTPException, OSError):  # a keep-alive connection was closed; its time is included
            connection.close()
        waits.append(1000 * (time.monotonic() - began))
    with suppress(OSError):
        connection.close()
    pipe.send([*(waits or [0.0]), late])


def _memory_mb(pid: int, field: str = "VmRSS") -> float:
    for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) / 1000
    raise LookupError(field)
