"""Batches by our fair queue and by BentoML's adaptive batching (OS_BATCHING), by turns on one machine."""

from __future__ import annotations

import asyncio
import re
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from benchmarks.corpus import Clip, collect, long_recording
from benchmarks.served import Served, serve

MODES = ("fair", "bentoml")
CALLERS = (1, 4, 16)
CLIPS_EACH = 3
"""Clips that each caller transcribes, one after the other, in one round."""
ROUNDS = 3
SHORT_S = 11.0
"""Maximum length of a clip."""
LONG_MINUTES = 3.0
"""Length of the file beside which one caller transcribes clips."""
ANSWER_S = 600.0
LEARNT = 20
"""Clips before the first measurement: BentoML tries out batch sizes during the first fifteen calls or so."""
BESIDE = "1 beside a long file"


@dataclass
class Measured:
    """All measurements of one mode at one level of load."""

    latencies: list[float] = field(default_factory=list)
    """Seconds from each request to its response."""
    audio_s: float = 0.0
    wall_s: float = 0.0
    cpu_s: float = 0.0
    windows: int = 0
    batches: int = 0


def run(*, quick: bool = False) -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory(prefix="open-speech-batching-") as folder:
        clips = [clip for clip in collect(Path(folder)) if clip.seconds <= SHORT_S]
        long_file = long_recording(Path(folder), clips, LONG_MINUTES)
        asyncio.run(_measure(clips, long_file, rounds=1 if quick else ROUNDS))


async def _measure(clips: list[Clip], long_file: Clip, rounds: int) -> None:
    """Measure by turns; print the results so far after each round."""
    results: dict[tuple[str, str], Measured] = {}
    with _servers() as servers:
        for served in servers.values():
            await _round(served, [clips[number % len(clips)] for number in range(LEARNT)], 2, Measured())
        for number in range(1, rounds + 1):
            for callers in CALLERS:
                jobs = [clips[(number + at) % len(clips)] for at in range(callers * CLIPS_EACH)]
                for mode, served in servers.items():
                    await _round(served, jobs, callers, results.setdefault((str(callers), mode), Measured()))
            for mode, served in servers.items():
                await _beside(served, clips, long_file, results.setdefault((BESIDE, mode), Measured()))
            print(f"... round {number} of {rounds}\n{table(results)}", flush=True)


async def _beside(served: Served, clips: list[Clip], long_file: Clip, into: Measured) -> None:
    """Transcribe clips one after the other while a long file is transcribed."""
    async with _client(served) as client:
        transcribing = asyncio.create_task(_transcribe(client, long_file))
        await asyncio.sleep(2)
        while not transcribing.done():
            took_s = await _transcribe(client, clips[len(into.latencies) % len(clips)])
            if not transcribing.done():
                into.latencies.append(took_s)
        await transcribing


@contextmanager
def _servers() -> Iterator[dict[str, Served]]:
    """Run one server for each mode; only one of them has work at a time."""
    settings = {"OS_OFFLINE": "true", "OS_MODEL_TTL": "0", "TTS_ENABLED": "false", "STT_BACKENDS": "faster-whisper"}
    with serve(settings | {"OS_BATCHING": MODES[0]}) as fair, serve(settings | {"OS_BATCHING": MODES[1]}) as bentoml:
        yield dict(zip(MODES, (fair, bentoml), strict=True))


async def _round(served: Served, jobs: list[Clip], callers: int, into: Measured) -> None:
    """Transcribe clips by concurrent callers, each of which sends its next clip after its response."""
    async with _client(served) as client:
        before = await batches(client)
        waiting = list(jobs)

        async def caller() -> None:
            while waiting:
                into.latencies.append(await _transcribe(client, waiting.pop()))

        used, started = served.cpu_s(), time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for _ in range(callers):
                group.create_task(caller())
        into.wall_s += time.perf_counter() - started
        into.cpu_s += served.cpu_s() - used
        into.audio_s += sum(job.seconds for job in jobs)
        after = await batches(client)
    into.windows += after[0] - before[0]
    into.batches += after[1] - before[1]


def _client(served: Served) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=served.url, timeout=ANSWER_S, limits=httpx.Limits(max_connections=max(CALLERS) + 1))


async def _transcribe(client: httpx.AsyncClient, clip: Clip) -> float:
    started = time.perf_counter()
    files, data = {"file": (clip.path.name, clip.path.read_bytes())}, {"model": "whisper-1", "language": "en"}
    (await client.post("/v1/audio/transcriptions", files=files, data=data)).raise_for_status()
    return time.perf_counter() - started


async def batches(client: httpx.AsyncClient) -> tuple[int, int]:
    """Return the numbers of decoded windows and of batches so far."""
    text = (await client.get("/metrics")).raise_for_status().text
    found = [re.search(rf"^open_speech_batch_size_{part}{{.*}} (\S+)$", text, re.MULTILINE) for part in ("sum", "count")]
    windows, batches = (int(float(one.group(1))) if one else 0 for one in found)
    return windows, batches


def table(results: dict[tuple[str, str], Measured]) -> str:
    """Return the results as a Markdown table."""
    rows = [
        "| Callers | `OS_BATCHING` | Median, s | 95th percentile, s | Audio s per s | CPU s per minute of audio | Windows per batch |",
        "|---|---|---|---|---|---|---|",
    ]
    for (level, mode), one in results.items():
        slow = sorted(one.latencies)[int(0.95 * len(one.latencies))]
        cells = [level, f"`{mode}`", f"{statistics.median(one.latencies):.2f}", f"{slow:.2f}"]
        if one.wall_s:
            cells += [f"{one.audio_s / one.wall_s:.1f}", f"{60 * one.cpu_s / one.audio_s:.1f}", f"{one.windows / max(1, one.batches):.2f}"]
        rows.append("| " + " | ".join(cells + ["–"] * (7 - len(cells))) + " |")
    return "\n".join(rows)
