"""Mixed load by many concurrent callers, with memory measured, and with each runner killed in turn."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from dataclasses import dataclass, field

import httpx

from benchmarks.clips import clip
from benchmarks.served import Served

CALLERS = 16
SENTENCES = (
    "The train leaves at seven in the evening.",
    "Please turn on the lights in the kitchen and close the window.",
    "It rained all day, and nobody went outside. In the evening the sun came out at last.",
)
EXPECTED = "fail better"


@dataclass
class Tally:
    """Results of all callers; latencies in seconds by kind of call."""

    done: Counter[str] = field(default_factory=Counter)
    failed: list[str] = field(default_factory=list)
    latencies: dict[str, list[float]] = field(default_factory=dict)
    memory_mb: list[float] = field(default_factory=list)

    def print(self) -> None:
        for kind, times in sorted(self.latencies.items()):
            times.sort()
            print(f"  {kind:12s} {len(times):5d} done   median {times[len(times) // 2]:6.2f} s   worst {times[-1]:6.2f} s")
        print(f"  failed: {len(self.failed)} {Counter(self.failed).most_common(5)}")
        if self.memory_mb:
            print("  memory MB over time:", " ".join(f"{value:.0f}" for value in self.memory_mb))


def run(served: Served, *, seconds: float = 60, kill: tuple[str, ...] = ()) -> Tally:
    """Load the server for `seconds`; kill each named runner in turn, evenly spread. Print and return the tally."""
    tally = Tally()
    asyncio.run(_run(served, tally, seconds, kill))
    tally.print()
    return tally


async def _run(served: Served, tally: Tally, seconds: float, kill: tuple[str, ...]) -> None:
    end = time.monotonic() + seconds
    wav = clip("beckett").read_bytes()
    async with httpx.AsyncClient(base_url=served.url, timeout=120, limits=httpx.Limits(max_connections=CALLERS)) as client:
        async with asyncio.TaskGroup() as group:
            for number in range(CALLERS):
                group.create_task(_caller(client, tally, wav, random.Random(number), end))
            group.create_task(_measure_memory(served, tally, end))
            for number, service in enumerate(kill, 1):
                group.create_task(_kill(served, service, seconds * number / (len(kill) + 1)))


async def _caller(client: httpx.AsyncClient, tally: Tally, wav: bytes, dice: random.Random, end: float) -> None:
    while time.monotonic() < end:
        kind = dice.choice(("transcribe", "kokoro", "piper"))
        started = time.monotonic()
        try:
            await (_transcribe(client, wav) if kind == "transcribe" else _speak(client, kind, dice))
        except (httpx.HTTPError, AssertionError) as failure:
            tally.failed.append(f"{kind}: {type(failure).__name__} {failure}"[:120])
        else:
            tally.done[kind] += 1
            tally.latencies.setdefault(kind, []).append(time.monotonic() - started)


async def _transcribe(client: httpx.AsyncClient, wav: bytes) -> None:
    answer = await client.post("/v1/audio/transcriptions", files={"file": ("a.wav", wav)}, data={"model": "whisper-1", "language": "en"})
    text = answer.raise_for_status().json()["text"]
    assert EXPECTED in text.lower(), text


async def _speak(client: httpx.AsyncClient, kind: str, dice: random.Random) -> None:
    model = {"kokoro": "kokoro", "piper": "piper/en_US-joe-medium"}[kind]
    text = dice.choice(SENTENCES)
    body = {"model": model, "voice": "alloy", "input": text, "response_format": dice.choice(("mp3", "wav", "opus"))}
    answer = (await client.post("/v1/audio/speech", json=body)).raise_for_status()
    assert len(answer.content) > 4000, f"{len(answer.content)} bytes"


async def _measure_memory(served: Served, tally: Tally, end: float) -> None:
    while time.monotonic() < end:
        tally.memory_mb.append(sum((await asyncio.to_thread(served.memory_mb)).values()))
        await asyncio.sleep(5)


async def _kill(served: Served, service: str, after_s: float) -> None:
    await asyncio.sleep(after_s)
    pid = await asyncio.to_thread(served.kill, service)
    print(f"  killed {service} (pid {pid})", flush=True)
