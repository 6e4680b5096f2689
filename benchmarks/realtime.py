"""The Realtime API: its overhead over the engine, and late events with few talking and many idle sessions.

Speech is sent in real time, followed by silence. The time from the end of speech (as the server reports it, on the clock of the sender)
to the transcript consists of the silence that ends a turn and of the engine's work, most of which is done during that silence.
"""

from __future__ import annotations

import asyncio
import base64
import json
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

from benchmarks.clips import clip
from benchmarks.served import Served
from open_speech import config
from open_speech.audio import Audio, concat, resample, silence, to_pcm16
from open_speech.backends import STT_RATE, TranscribeOptions
from open_speech.codecs import decode
from open_speech.synthesis.plan import SynthesisRequest
from runners.wiring.engine import local_engine

RATE = 24_000
ROUNDS = 8
SILENCE_S = 0.5
"""Silence that ends a turn by default in the server, in seconds."""
PIECE_S = 0.1
SENTENCE = "The quick brown fox jumps over the lazy dog, and then it runs home."
MODEL = "Systran/faster-whisper-base"
IDLE, TALKING = 20, 4
LATE_ANSWER_S, LATE_TEXT_S = 0.25, 3.0
"""Seconds after which the response to an event without work, or a transcript after the end of its speech, counts as late."""
TRANSCRIPTION = {"transcription": {"model": MODEL, "language": "en"}}


@dataclass
class Tally:
    """Results of the sessions of the long run, in seconds."""

    answers: list[float] = field(default_factory=list)
    texts: list[float] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    memory_mb: list[float] = field(default_factory=list)

    @property
    def late(self) -> int:
        return sum(seconds > LATE_ANSWER_S for seconds in self.answers) + sum(seconds > LATE_TEXT_S for seconds in self.texts)


class Session:
    """One connection, which sends events and waits for events."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.sent_s = 0.0
        """Seconds of audio sent so far."""

    async def send(self, kind: str, **fields: Any) -> None:
        await self.socket.send(json.dumps({"type": kind, **fields}))

    async def until(self, kind: str) -> dict[str, Any]:
        while True:
            event: dict[str, Any] = json.loads(await asyncio.wait_for(self.socket.recv(), 60))
            if event["type"] == "error":
                raise AssertionError(event["error"])
            if event["type"] == kind:
                return event

    async def append(self, audio: Audio) -> None:
        self.sent_s += audio.seconds
        await self.send("input_audio_buffer.append", audio=base64.b64encode(to_pcm16(audio)).decode())


@asynccontextmanager
async def session(served: Served, query: str, kind: str, **audio: Any) -> AsyncIterator[Session]:
    async with connect(f"ws{served.url.removeprefix('http')}/v1/realtime?{query}", max_size=None) as socket:
        opened = Session(socket)
        await opened.until("session.created")
        await opened.send("session.update", session={"type": kind, "audio": {"input": audio}})
        await opened.until("session.updated")
        yield opened


def speech() -> Audio:
    """Return four seconds of a novel."""
    whole = decode(clip("two_cities").read_bytes(), RATE, max_seconds=60)
    return Audio(whole.samples[round(0.8 * RATE) : round(4.8 * RATE)], RATE)


async def turn(talk: Session, audio: Audio) -> tuple[float, str]:
    """Send speech in real time; return the seconds from its end to its transcript, and the transcript."""
    before_s, began = talk.sent_s, time.perf_counter()
    waiting = asyncio.ensure_future(_transcript(talk))
    while not waiting.done():
        at_s = talk.sent_s - before_s
        # A microphone returns a piece at the end of the piece.
        await asyncio.wait({waiting}, timeout=max(0.0, began + at_s + PIECE_S - time.perf_counter()))
        piece = audio.samples[round(at_s * RATE) : round((at_s + PIECE_S) * RATE)]
        await talk.append(concat([Audio(piece, RATE), silence(PIECE_S - len(piece) / RATE, RATE)], RATE))
    arrived, stopped_ms, text = await waiting
    return arrived - began - (stopped_ms / 1000 - before_s), text


async def _transcript(talk: Session) -> tuple[float, int, str]:
    stopped = await talk.until("input_audio_buffer.speech_stopped")
    completed = await talk.until("conversation.item.input_audio_transcription.completed")
    return time.perf_counter(), stopped["audio_end_ms"], str(completed["transcript"])


async def committed(talk: Session, audio: Audio) -> float:
    """Send audio in one message and commit it; return the seconds from the commit to the transcript."""
    await talk.append(audio)
    await asyncio.sleep(2)  # time for interim passes to finish
    began = time.perf_counter()
    await talk.send("input_audio_buffer.commit")
    await talk.until("conversation.item.input_audio_transcription.completed")
    return time.perf_counter() - began


async def first_audio(talk: Session) -> float:
    """Request the speech of a sentence; return the seconds to its first audio."""
    content = [{"type": "input_text", "text": SENTENCE}]
    item = {"type": "message", "role": "user", "content": content}
    began = time.perf_counter()
    await talk.send("response.create", response={"conversation": "none", "input": [item]})
    await talk.until("response.output_audio.delta")
    seconds = time.perf_counter() - began
    await talk.until("response.done")
    return seconds


async def timed(work: Awaitable[Any]) -> float:
    began = time.perf_counter()
    await work
    return time.perf_counter() - began


async def pair(name: str, served: Callable[[], Awaitable[float]], raw: Callable[[], Awaitable[float]], *, silence_s: float = 0.0) -> None:
    """Measure both calls by turns, after a warm-up that is not counted; print a row."""
    pairs = [(await served(), await raw()) for _ in range(ROUNDS + 1)][1:]
    seconds, engine_s = (statistics.median(column) for column in zip(*pairs, strict=True))
    added_ms = statistics.median(there - silence_s - here for there, here in pairs) * 1000
    parts = f"silence {silence_s:3.1f} s   engine {engine_s:6.3f} s   ratio {(seconds - silence_s) / engine_s:5.2f}"
    print(f"  {name:38s} {seconds:6.3f} s   {parts}   added {added_ms:+6.0f} ms", flush=True)


async def delays(served: Served) -> None:
    """Print the latency that the server adds to the engine, which is called in this process for comparison."""
    engine = local_engine(config.load({"OS_OFFLINE": "true"}))
    audio, engine_audio = speech(), resample(speech(), STT_RATE)
    recognizer = await engine.recognition.recognizer(MODEL, TranscribeOptions(language="en"))

    async def transcribe() -> float:
        return await timed(recognizer.transcribe(engine_audio, final=True))

    async def speak() -> float:
        began = time.perf_counter()
        stream = await engine.synthesis.speak(SynthesisRequest("kokoro", SENTENCE, rate=RATE))
        seconds = time.perf_counter() - began
        async for _ in stream:
            pass
        return seconds

    async def end_of_turn() -> float:
        return (await turn(talk, audio))[0]

    async with session(served, "intent=transcription", "transcription", **TRANSCRIPTION) as talk:
        await pair("end of speech -> completed", end_of_turn, transcribe, silence_s=SILENCE_S)
    async with session(served, "intent=transcription", "transcription", **TRANSCRIPTION, turn_detection=None) as talk:
        await pair("commit -> completed", lambda: committed(talk, audio), transcribe)
    async with session(served, "model=tts-1", "realtime", turn_detection=None) as talk:
        await pair("response.create -> first audio delta", lambda: first_audio(talk), speak)


async def crowd(served: Served, minutes: float) -> Tally:
    """Keep many sessions open, some of which talk; return the latencies and the memory over time."""
    tally, end = Tally(), time.monotonic() + minutes * 60
    async with asyncio.TaskGroup() as group:
        for number in range(IDLE):
            group.create_task(_idle(served, tally, end, number / IDLE))
        for number in range(TALKING):
            group.create_task(_talking(served, tally, end, number * 1.3))
        group.create_task(_measure_memory(served, tally, end))
    return tally


async def _idle(served: Served, tally: Tally, end: float, after_s: float) -> None:
    async with session(served, "model=gpt-realtime", "realtime") as talk:
        await asyncio.sleep(after_s)
        while time.monotonic() < end:
            began = time.perf_counter()
            await talk.send("input_audio_buffer.clear")
            await talk.until("input_audio_buffer.cleared")
            tally.answers.append(time.perf_counter() - began)
            await asyncio.sleep(1)


async def _talking(served: Served, tally: Tally, end: float, after_s: float) -> None:
    audio = speech()
    async with session(served, "intent=transcription", "transcription", **TRANSCRIPTION) as talk:
        await asyncio.sleep(after_s)
        await turn(talk, audio)  # loads the model
        while time.monotonic() < end:
            seconds, text = await turn(talk, audio)
            tally.texts.append(seconds)
            if "best of times" not in text:
                tally.wrong.append(text)


async def _measure_memory(served: Served, tally: Tally, end: float) -> None:
    while time.monotonic() < end:
        tally.memory_mb.append((await asyncio.to_thread(served.memory_mb))["open_speech"])
        await asyncio.sleep(min(30.0, max(0.0, end - time.monotonic())))


def run(served: Served, *, minutes: float) -> int:
    """Print both tables; return the number of late events and wrong texts."""
    asyncio.run(delays(served))
    tally = asyncio.run(crowd(served, minutes))
    print(f"  {IDLE} idle and {TALKING} talking sessions, {minutes:g} min")
    for name, found in (("responses to an idle session", tally.answers), ("end of speech -> completed", tally.texts)):
        found.sort()
        half, most = (found[int(len(found) * share)] for share in (0.5, 0.99))
        print(f"    {name:42s} {len(found):6d}   median {half:6.3f} s   99 % {most:6.3f} s   worst {found[-1]:6.3f} s")
    print(f"    late: {tally.late}   wrong: {len(tally.wrong)} {tally.wrong[:2]}")
    print("    memory of the front, MB:", " ".join(f"{value:.0f}" for value in tally.memory_mb))
    return tally.late + len(tally.wrong)
