"""Ten callers with short clips, first alone, then beside a film that comes as Bazarr sends it: do they wait behind it?"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from pathlib import Path

import httpx

from benchmarks.corpus import Clip, collect, long_recording, plain
from benchmarks.served import Served

CALLERS = 10
SECONDS = 30.0
"""How long the callers call, each time."""
FILM_MINUTES = 40.0
LONGEST_S = 11.0
"""Of a short clip."""
WAV_HEADER = 44
"""Bytes; Bazarr sends what follows them."""


def run(served: Served) -> int:
    """Measure and print; returns how many calls failed."""
    with tempfile.TemporaryDirectory(prefix="open-speech-bench-") as folder:
        clips = [clip for clip in collect(Path(folder)) if clip.seconds <= LONGEST_S]
        film = long_recording(Path(folder), clips, FILM_MINUTES)
        return asyncio.run(_run(served, clips, film))


async def _run(served: Served, clips: list[Clip], film: Clip) -> int:
    async with httpx.AsyncClient(base_url=served.url, timeout=600) as client:
        await _hear(client, clips[0])  # loads the model; it does not count
        alone = await _callers(client, clips)
        watching = asyncio.create_task(_watch(client, film))
        await asyncio.sleep(3)
        beside = await _callers(client, clips)
        during = not watching.done()
        started_s, subtitles = await watching
    print(f"  {CALLERS} callers alone          {_told(alone)}")
    slower = statistics.median(beside) / statistics.median(alone)
    print(f"  beside a file of {FILM_MINUTES:g} min   {_told(beside)}   median {slower:.2f} ×")
    print(f"  the long file took {started_s:.0f} s, {subtitles.count('-->')} subtitles; still in progress when the callers ended: {during}")
    return 0 if subtitles.strip() else 1


async def _callers(client: httpx.AsyncClient, clips: list[Clip]) -> list[float]:
    times: list[float] = []
    end = time.monotonic() + SECONDS

    async def caller(number: int) -> None:
        at = number
        while time.monotonic() < end:
            times.append(await _hear(client, clips[at % len(clips)]))
            at += 1

    async with asyncio.TaskGroup() as group:
        for number in range(CALLERS):
            group.create_task(caller(number))
    return times


async def _hear(client: httpx.AsyncClient, clip: Clip) -> float:
    started = time.monotonic()
    files = {"file": (clip.path.name, clip.path.read_bytes())}
    answer = await client.post("/v1/audio/transcriptions", files=files, data={"model": "whisper-1", "language": "en"})
    assert plain(answer.raise_for_status().json()["text"]), clip.name
    return time.monotonic() - started


async def _watch(client: httpx.AsyncClient, film: Clip) -> tuple[float, str]:
    """Ask for a film's subtitles in the way of Bazarr's provider."""
    started = time.monotonic()
    query = {"task": "transcribe", "language": "en", "output": "srt", "encode": "false"}
    answer = await client.post("/asr", params=query, files={"audio_file": film.path.read_bytes()[WAV_HEADER:]})
    return time.monotonic() - started, answer.raise_for_status().text


def _told(times: list[float]) -> str:
    ordered = sorted(times)
    most = ordered[len(ordered) * 19 // 20]
    return f"{len(ordered):4d} clips   median {statistics.median(ordered):5.2f} s   19 of 20 within {most:5.2f} s"
