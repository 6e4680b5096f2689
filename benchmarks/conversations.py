"""Spoken conversations with the local language model by the Realtime API: the time of each stage, and memory over time.

The questions are spoken by Piper, once. They are sent as fast as the server takes them, because the time from the end of speech is measured
from the commit. The model is the smallest of the catalog, which often answers wrongly: the words of its answers are not judged.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from dataclasses import dataclass, field

import httpx

from benchmarks.realtime import RATE, Session, session
from benchmarks.served import MEASURED, Served, serve
from open_speech.audio import Audio, from_pcm16

QUESTIONS = (
    "What is the capital of France?", "What colour is the sky on a clear day?", "How many days are in a week?",
    "Who wrote Romeo and Juliet?",
)  # fmt: skip
MODEL = "gemma-3-270m"
VOICE = {"TTS_BACKENDS": "piper", "TTS_MODEL": "piper/en_US-joe-medium", "TTS_VOICE": "en_US-joe-medium"}
SETTINGS = {
    "OS_OFFLINE": "true", "LLM_MODEL": MODEL, "LLM_CONTEXT_SIZE": "2048", "LLM_PARALLEL": "2", "LLM_THREADS": "1", **VOICE, **MEASURED,
}  # fmt: skip
SESSIONS = 2
PAUSE_S = 8.0
"""Seconds between two turns of a session."""
TURNS = 40
"""Turns of one session, after which it is closed and another one is opened."""
STAGES = ("transcript", "first text", "first audio", "done")


@dataclass
class Tally:
    """Results: for each stage the seconds from the end of speech, and the memory of each process over time in MB."""

    stages: dict[str, list[float]] = field(default_factory=lambda: {stage: [] for stage in STAGES})
    failed: list[str] = field(default_factory=list)
    memory_mb: dict[str, list[float]] = field(default_factory=dict)


def spoken(served: Served, text: str) -> Audio:
    body = {"model": "tts-1", "voice": "alloy", "input": text, "response_format": "pcm"}
    return from_pcm16(httpx.post(f"{served.url}/v1/audio/speech", json=body, timeout=120).content, RATE)


async def turn(talk: Session, question: Audio, tally: Tally) -> None:
    """Ask a question, and time the stages of its answer."""
    await talk.append(question)
    await asyncio.sleep(1)  # interim passes
    began = time.perf_counter()
    await talk.send("input_audio_buffer.commit")
    await talk.until("conversation.item.input_audio_transcription.completed")
    tally.stages["transcript"].append(time.perf_counter() - began)
    await talk.send("response.create", response={"max_output_tokens": 60})
    await talk.until("response.output_audio_transcript.delta")
    tally.stages["first text"].append(time.perf_counter() - began)
    await talk.until("response.output_audio.delta")
    tally.stages["first audio"].append(time.perf_counter() - began)
    done = await talk.until("response.done")
    tally.stages["done"].append(time.perf_counter() - began)
    if done["response"]["status"] not in ("completed", "incomplete"):
        tally.failed.append(str(done["response"]["status_details"]))


async def _talking(served: Served, questions: list[Audio], tally: Tally, end: float, number: int) -> None:
    turns = {"transcription": {"model": "Systran/faster-whisper-base", "language": "en"}, "turn_detection": None}
    while time.monotonic() < end:
        async with session(served, "model=gpt-realtime", "realtime", **turns) as talk:
            for count in range(TURNS):
                if time.monotonic() >= end:
                    return
                await turn(talk, questions[(count + number) % len(questions)], tally)
                await asyncio.sleep(PAUSE_S)


async def _measure_memory(served: Served, tally: Tally, end: float) -> None:
    while time.monotonic() < end:
        for name, value in (await asyncio.to_thread(served.memory_mb)).items():
            tally.memory_mb.setdefault(name, []).append(value)
        await asyncio.sleep(min(60.0, max(0.0, end - time.monotonic())))


async def talk_for(served: Served, minutes: float) -> Tally:
    questions = [await asyncio.to_thread(spoken, served, text) for text in QUESTIONS]
    tally, end = Tally(), time.monotonic() + minutes * 60
    async with asyncio.TaskGroup() as group:
        for number in range(SESSIONS):
            group.create_task(_talking(served, questions, tally, end, number))
        group.create_task(_measure_memory(served, tally, end))
    return tally


def run(*, minutes: float) -> int:
    """Print the stages and the memory; return the number of failed answers."""
    with serve(SETTINGS) as served:
        tally = asyncio.run(talk_for(served, minutes))
    print(f"  {MODEL}, {SESSIONS} sessions, {minutes:g} min, from the end of speech")
    for stage, seconds in tally.stages.items():
        found = sorted(seconds)
        late = found[int(len(found) * 0.95)]
        print(f"  {stage:12s} {len(found):5d}   median {statistics.median(found):6.3f} s   95 % {late:6.3f} s   worst {found[-1]:6.3f} s")
    print(f"  failed: {len(tally.failed)} {tally.failed[:2]}")
    for name, values in tally.memory_mb.items():
        print(f"  memory of {name:16s} MB: {' '.join(f'{value:.0f}' for value in values)}", flush=True)
    return len(tally.failed)
