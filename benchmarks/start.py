"""The cost of an idle server: time and CPU from the command to ready, memory of each process, and the first short transcription."""

from __future__ import annotations

import statistics
import sys
import time
from dataclasses import dataclass

import httpx

from benchmarks.clips import clip
from benchmarks.served import MEASURED, Served, serve

ROUNDS = 3
SETTLE_S = 3.0
"""Seconds from ready to the measurement of memory: what starts in the background has started by then."""
CHEAP = ("/health", "/v1/models", "/v1/audio/voices")
"""Routes that ask no model; their cost is that of the front alone."""
CALLS = 100
"""Measured calls of each of these routes, on one connection, after as many that are not counted."""


@dataclass(frozen=True, slots=True)
class Start:
    """One start of the server."""

    ready_s: float
    """Seconds from the start of the command until `/readyz` answers 200."""
    cpu_s: float
    """CPU seconds of all processes until then, including those that have ended."""
    memory_mb: dict[str, float]
    """Proportional memory (PSS) of each process with no model loaded."""
    route_ms: dict[str, float]
    """CPU milliseconds of all processes for one request of each cheap route."""
    first_s: float
    """Seconds of the first transcription of 10 s of speech: it loads the model."""
    second_s: float
    """The same for the second transcription."""

    def rows(self) -> list[str]:
        """Return the measurements as lines of text."""
        memory = ", ".join(f"{name} {value:.0f}" for name, value in self.memory_mb.items())
        routes = ", ".join(f"{path} {ms:.1f} ms" for path, ms in self.route_ms.items())
        return [
            f"ready after {self.ready_s:.1f} s and {self.cpu_s:.1f} CPU s",
            f"idle {sum(self.memory_mb.values()):.0f} MB in {len(self.memory_mb)} processes: {memory}",
            f"CPU for one request: {routes}",
            f"transcription of 10 s: the first {self.first_s:.2f} s, the second {self.second_s:.2f} s",
        ]


def run(*, quick: bool = False) -> None:
    """Start the server a few times with the default engines, lazy and eager by turns; print each start, and the medians.

    The first start is not counted: it compiles the modules of a new checkout, and reads them from disk.
    """
    measured("lazy")
    starts: dict[str, list[Start]] = {"lazy": [], "eager": []}
    for _ in range(1 if quick else ROUNDS):
        for kind, of_kind in starts.items():
            of_kind.append(measured(kind))
            print(f"  OS_START_RUNNERS={kind}")
            print("\n".join(f"    {row}" for row in of_kind[-1].rows()) + "\n", flush=True)
    middle = statistics.median
    for kind, of_kind in starts.items():
        print(
            f"  {kind}, medians: ready after {middle(s.ready_s for s in of_kind):.1f} s and {middle(s.cpu_s for s in of_kind):.1f} CPU s, "
            f"idle {middle(sum(s.memory_mb.values()) for s in of_kind):.0f} MB, "
            f"first transcription {middle(s.first_s for s in of_kind):.2f} s"
        )


def measured(start_runners: str) -> Start:
    """Start the server with its command line, and measure it."""
    command = [sys.executable, "-m", "open_speech.cli", "serve", "--no-pull"]
    # With compiled modules, as installations and images have them.
    settings = {"OS_OFFLINE": "true", "OS_START_RUNNERS": start_runners, "PYTHONDONTWRITEBYTECODE": ""}
    with serve(settings | MEASURED, command=command) as served:
        cpu_s = served.cpu_s(ended=True)
        time.sleep(SETTLE_S)
        memory = served.memory_mb()
        routes = {path: route_ms(served, path) for path in CHEAP}
        with served.client() as client:
            first_s, second_s = transcription_s(client), transcription_s(client)
    return Start(served.ready_s, cpu_s, memory, routes, first_s, second_s)


def route_ms(served: Served, path: str) -> float:
    """Return the CPU milliseconds that the server spends on one request of a route."""
    with served.client() as client:
        for _ in range(CALLS):
            client.get(path).raise_for_status()
        before = served.cpu_s()
        for _ in range(CALLS):
            client.get(path).raise_for_status()
        return 1000 * (served.cpu_s() - before) / CALLS


def transcription_s(client: httpx.Client) -> float:
    """Return the seconds of one transcription of a short clip."""
    data = clip("beckett").read_bytes()
    started = time.monotonic()
    client.post("/v1/audio/transcriptions", files={"file": ("a.wav", data)}, data={"language": "en"}).raise_for_status()
    return time.monotonic() - started
