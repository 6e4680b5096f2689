"""Twice as many requests as the server can process: latency of accepted requests, rejection of the rest, and recovery afterwards."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from dataclasses import dataclass, field
from itertools import count

import httpx

from benchmarks.clips import clip
from benchmarks.served import Served
from open_speech.dispatch.admission import LEAST

CLIP, EXPECTED = "beckett", "fail better"
FULL_CALLERS = 16
"""Callers, each with one request at a time, that fully load the server."""
MEASURE_S = 12.0
FACTOR = 2.0
SURPLUS = 4 * LEAST
"""Minimum number of requests beyond the server's capacity: `LEAST` of them may wait, and are not rejected."""
GIVE_UP_S = 120.0
"""Seconds after which a response counts as lost."""
RECOVERED = 1.5
"""The server has recovered when a request takes at most this many times as long as before the overload."""
RECOVER_WITHIN_S = 30.0


@dataclass
class Report:
    """The results; times in seconds."""

    alone_s: float = 0.0
    full_s: list[float] = field(default_factory=list)
    """Latencies with the server fully loaded and no request rejected."""
    per_second: float = 0.0
    """Responses per second under that load."""
    sent: int = 0
    accepted_s: list[float] = field(default_factory=list)
    refused_s: list[float] = field(default_factory=list)
    retry_after_s: list[float] = field(default_factory=list)
    lost: Counter[str] = field(default_factory=Counter)
    """Requests that received neither a complete response nor a rejection with Retry-After, by reason."""
    recovery_s: float = float("inf")

    def print(self) -> None:
        """Print the results in a few lines."""
        print(f"  alone {self.alone_s:.2f} s; {FULL_CALLERS} callers: {self.per_second:.1f} a second, {_spread(self.full_s)}")
        print(f"  {self.sent} sent at {FACTOR:g} times that: {len(self.accepted_s)} completed, {_spread(self.accepted_s)}")
        print(f"  {len(self.refused_s)} rejected, {_spread(self.refused_s)}; Retry-After {_spread(self.retry_after_s)}")
        print(f"  lost: {sum(self.lost.values())} {dict(self.lost)}; latency back to normal after {self.recovery_s:.1f} s")


def run(served: Served, *, seconds: float = 60.0) -> Report:
    """Measure the capacity, send twice as much for `seconds`, or longer to reach SURPLUS, and measure the recovery.

    Print and return the report.
    """
    report = Report()
    asyncio.run(_run(served, report, seconds))
    report.print()
    return report


async def _run(served: Served, report: Report, seconds: float) -> None:
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(base_url=served.url, timeout=GIVE_UP_S, limits=limits) as client:
        wav = clip(CLIP).read_bytes()
        await _transcribe(client, wav)  # loads the model
        report.alone_s = min([await _timed(client, wav) for _ in range(3)])
        await _measure(client, wav, report)
        await _overload(client, wav, report, seconds)
        await _recover(client, wav, report)


async def _measure(client: httpx.AsyncClient, wav: bytes, report: Report) -> None:
    began = time.monotonic()

    async def caller() -> None:
        while time.monotonic() - began < MEASURE_S:
            report.full_s.append(await _timed(client, wav))

    await asyncio.gather(*(caller() for _ in range(FULL_CALLERS)))
    report.per_second = len(report.full_s) / (time.monotonic() - began)


async def _overload(client: httpx.AsyncClient, wav: bytes, report: Report, seconds: float) -> None:
    """Send at a fixed rate, independent of the responses, as independent users do."""
    interval_s = 1 / (FACTOR * report.per_second)
    seconds = max(seconds, SURPLUS / ((FACTOR - 1) * report.per_second))
    began = time.monotonic()
    async with asyncio.TaskGroup() as group:
        for number in count():
            if number * interval_s >= seconds:
                break
            await asyncio.sleep(max(0.0, began + number * interval_s - time.monotonic()))
            report.sent += 1
            group.create_task(_one(client, wav, report))


async def _one(client: httpx.AsyncClient, wav: bytes, report: Report) -> None:
    began = time.monotonic()
    try:
        answer = await _post(client, wav)
    except httpx.HTTPError as failure:
        report.lost[type(failure).__name__] += 1
        return
    took = time.monotonic() - began
    if answer.status_code == 200 and EXPECTED in answer.json()["text"].lower():
        report.accepted_s.append(took)
    elif answer.status_code == 429 and answer.headers.get("retry-after", "").isdigit():
        report.refused_s.append(took)
        report.retry_after_s.append(float(answer.headers["retry-after"]))
    else:
        report.lost[f"status {answer.status_code}"] += 1


async def _recover(client: httpx.AsyncClient, wav: bytes, report: Report) -> None:
    began = time.monotonic()
    while (now := time.monotonic()) - began < RECOVER_WITHIN_S:
        answer = await _post(client, wav)
        if answer.status_code == 200 and time.monotonic() - now <= RECOVERED * report.alone_s:
            report.recovery_s = now - began
            return


async def _timed(client: httpx.AsyncClient, wav: bytes) -> float:
    began = time.monotonic()
    await _transcribe(client, wav)
    return time.monotonic() - began


async def _transcribe(client: httpx.AsyncClient, wav: bytes) -> None:
    text = (await _post(client, wav)).raise_for_status().json()["text"]
    assert EXPECTED in text.lower(), text


async def _post(client: httpx.AsyncClient, wav: bytes) -> httpx.Response:
    form = {"model": "whisper-1", "language": "en"}
    return await client.post("/v1/audio/transcriptions", files={"file": ("a.wav", wav)}, data=form)


def _spread(times: list[float]) -> str:
    if not times:
        return "-"
    ordered = sorted(times)
    p95 = ordered[min(len(ordered) - 1, round(0.95 * len(ordered)))]
    return f"median {ordered[len(ordered) // 2]:.2f} s, 95 % {p95:.2f} s, worst {ordered[-1]:.2f} s"
