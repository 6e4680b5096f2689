"""Two replicas of the Whisper runner, each on one core, against one: throughput, balance, and latency when one of them is slow."""

from __future__ import annotations

import asyncio
import os
import signal
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread

import httpx

from benchmarks.clips import clip
from benchmarks.served import Served, serve

CALLERS = 6
SECONDS, QUICK_SECONDS = 60.0, 20.0
ROUNDS = 3
SLICE_S = 0.05
"""A slow replica is stopped for this long, and then runs for as long, again and again."""
RUNNER = {"OS_OFFLINE": "true", "OS_MODEL_TTL": "0", "OS_THREADS": "1"}
TARGET = "runners.faster_whisper:Runner"


def run(*, quick: bool) -> None:
    """Print, per round, the transcriptions per second of one replica and of two, their ratio, and the share of each replica."""
    if (os.cpu_count() or 1) < 2:
        print("  needs two cores")
        return
    seconds = QUICK_SECONDS if quick else SECONDS
    speech = clip("beckett").read_bytes()
    with serve(RUNNER, target=TARGET) as here, serve(RUNNER, target=TARGET) as there:
        for core, runner in enumerate((here, there)):
            _pin(runner, core)
        with serve(_front(here)) as one, serve(_front(here, there)) as two:
            for front in (one, two):  # loads the models
                httpx.post(f"{front.url}/api/models/whisper-1/load", timeout=120).raise_for_status()
                asyncio.run(_load(front, speech, 5))
            ratios = []
            for number in range(ROUNDS):
                alone = asyncio.run(_load(one, speech, seconds))
                before = _calls(two)
                both = asyncio.run(_load(two, speech, seconds))
                shares = [after - begun for after, begun in zip(_calls(two), before, strict=True)]
                ratios.append(len(both) / len(alone))
                print(f"  round {number + 1}: one replica {len(alone) / seconds:5.2f} per second   two {len(both) / seconds:5.2f}"
                      f"   ratio {ratios[-1]:.2f}   calls {shares}", flush=True)  # fmt: skip
            print(f"  median ratio {statistics.median(ratios):.2f}")
            alone = asyncio.run(_load(one, speech, seconds))
            with _slowed(there):
                slow = asyncio.run(_load(two, speech, seconds))
            print(f"  p95 without a second replica {_p95(alone):.2f} s   with a second one at half speed {_p95(slow):.2f} s")


def _front(*runners: Served) -> dict[str, str]:
    addresses = "|".join(runner.url for runner in runners)
    return {"OS_OFFLINE": "true", "OS_MODEL_TTL": "0", "STT_BACKENDS": f"faster-whisper@{addresses}", "TTS_BACKENDS": "hibari@inproc"}


def _pin(served: Served, core: int) -> None:
    """Restrict all threads of a server to one core; threads that they start later are restricted too."""
    for process in served.processes():
        for task in Path(f"/proc/{process.pid}/task").iterdir():
            os.sched_setaffinity(int(task.name), {core})


@contextmanager
def _slowed(served: Served) -> Iterator[None]:
    """Let the processes of a server run half of the time during the block."""
    done, processes = Event(), served.processes()

    def interrupt() -> None:
        while not done.is_set():
            for sent in (signal.SIGSTOP, signal.SIGCONT):
                for process in processes:
                    process.send_signal(sent)
                time.sleep(SLICE_S)

    thread = Thread(target=interrupt)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


async def _load(front: Served, speech: bytes, seconds: float) -> list[float]:
    """Transcribe with CALLERS callers for so long; return the duration of each call that ended in time."""
    found: list[float] = []
    ends = time.monotonic() + seconds

    async def call(client: httpx.AsyncClient) -> None:
        while (began := time.monotonic()) < ends:
            answer = await client.post("/audio/transcriptions", files={"file": ("a.wav", speech)}, data={"model": "whisper-1"})
            answer.raise_for_status()
            if time.monotonic() <= ends:
                found.append(time.monotonic() - began)

    async with httpx.AsyncClient(base_url=front.base_url, timeout=120) as client, asyncio.TaskGroup() as group:
        for _ in range(CALLERS):
            group.create_task(call(client))
    return found


def _calls(front: Served) -> list[int]:
    """Return the number of calls of each replica so far."""
    backend = httpx.get(f"{front.url}/health", timeout=60).json()["backends"]["faster-whisper"]
    return [int(replica["calls"]) for replica in backend["replicas"]]


def _p95(durations: list[float]) -> float:
    return statistics.quantiles(durations, n=20)[-1]
