"""Latency of ten callers with short clips, first alone, then beside a long file in Bazarr's format, which must not delay them."""

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
"""Duration of each of the two measurements."""
LONG_FILE_MINUTES = 40.0
LONGEST_S = 11.0
"""Maximum length of a short clip."""
WAV_HEADER = 44
"""Length of the header in bytes; Bazarr sends only the samples after it."""


def run(served: Served) -> int:
    """Measure and print; return 1 if the long file has no subtitles, else 0."""
    with tempfile.TemporaryDirectory(prefix="open-speech-bench-") as folder:
        clips = [clip for clip in collect(Path(folder)) if clip.seconds <= LONGEST_S]
        long_file = long_recording(Path(folder), clips, LONG_FILE_MINUTES)
        return asyncio.run(_run(served, clips, long_file))


async def _run(served: Served, clips: list[Clip], long_file: Clip) -> int:
    async with httpx.AsyncClient(base_url=served.url, timeout=600) as client:
        await _transcribe(client, clips[0])  # loads the model and is not measured
        alone = await _callers(client, clips)
        subtitling = asyncio.create_task(_subtitles(client, long_file))
        await asyncio.sleep(3)
        beside = await _callers(client, clips)
        during = not subtitling.done()
        took_s, subtitles = await subtitling
    print(f"  {CALLERS} callers alone          {_summary(alone)}")
    slower = statistics.median(beside) / statistics.median(alone)
    print(f"  beside a file of {LONG_FILE_MINUTES:g} min   {_summary(beside)}   median {slower:.2f} ×")
    print(f"  the long file took {took_s:.0f} s, {subtitles.count('-->')} subtitles; still in progress when the callers ended: {during}")
    return 0 if subtitles.strip() else 1


async def _callers(client: httpx.AsyncClient, clips: list[Clip]) -> list[float]:
    times: list[float] = []
    end = time.monotonic() + SECONDS

    async def caller(number: int) -> None:
        at = number
        while time.monotonic() < end:
            times.append(await _transcribe(client, clips[at % len(clips)]))
            at += 1

    async with asyncio.TaskGroup() as group:
        for number in range(CALLERS):
            group.create_task(caller(number))
    return times


async def _transcribe(client: httpx.AsyncClient, clip: Clip) -> float:
    started = time.monotonic()
    files = {"file": (clip.path.name, clip.path.read_bytes())}
    answer = await client.post("/v1/audio/transcriptions", files=files, data={"model": "whisper-1", "language": "en"})
    assert plain(answer.raise_for_status().json()["text"]), clip.name
    return time.monotonic() - started


async def _subtitles(client: httpx.AsyncClient, long_file: Clip) -> tuple[float, str]:
    """Request subtitles as Bazarr's provider does; return the seconds and the subtitles."""
    started = time.monotonic()
    query = {"task": "transcribe", "language": "en", "output": "srt", "encode": "false"}
    answer = await client.post("/asr", params=query, files={"audio_file": long_file.path.read_bytes()[WAV_HEADER:]})
    return time.monotonic() - started, answer.raise_for_status().text


def _summary(times: list[float]) -> str:
    ordered = sorted(times)
    most = ordered[len(ordered) * 19 // 20]
    return f"{len(ordered):4d} clips   median {statistics.median(ordered):5.2f} s   19 of 20 within {most:5.2f} s"
