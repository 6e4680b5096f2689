"""Spoken turns in real time, with and without early answers: the time from the end of speech to the first audio of the answer.

The questions are spoken by Piper, once. The microphone stays on, so the server detects the end of each turn, by its default of 500 ms of
silence. The answers are of a scripted server whose first token takes 200 ms, and then of the local language model.
"""

from __future__ import annotations

import asyncio
import json
import socket
import statistics
import threading
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager

import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.routing import Route

from benchmarks.conversations import MODEL, VOICE, spoken
from benchmarks.realtime import PIECE_S, RATE, Session, session
from benchmarks.served import Served, serve
from open_speech.audio import Audio, concat, silence

QUESTIONS = ("What is the capital of France?", "What color is the sky on a clear day?", "How many days are in a week?")
ROUNDS = 4
"""Turns per question."""
FIRST_TOKEN_S = 0.2
ANSWER = "That is a good question, and I am glad to answer it. Let me think about it for a moment."
STAGES = ("end of the turn", "transcript", "first audio")
TRANSCRIPTION = {"transcription": {"model": "Systran/faster-whisper-base", "language": "en"}}


async def _complete(request: Request) -> StreamingResponse:
    await request.json()

    async def events() -> AsyncIterator[bytes]:
        await asyncio.sleep(FIRST_TOKEN_S)
        for word in ANSWER.split():
            yield b"data: " + json.dumps({"choices": [{"index": 0, "delta": {"content": word + " "}}]}).encode() + b"\n\n"
            await asyncio.sleep(0.01)
        yield b"data: [DONE]\n\n"

    return StreamingResponse(events(), media_type="text/event-stream")


@contextmanager
def scripted() -> Iterator[str]:
    """Serve a language model that says ANSWER; give its address up to `/v1`."""
    app = Starlette(routes=[Route("/v1/chat/completions", _complete, methods=["POST"])])
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
    finally:
        server.should_exit = True
        thread.join(10)
        listener.close()


async def turn(talk: Session, question: Audio) -> tuple[float, ...]:
    """Ask a question in real time; return the seconds from the end of its speech to each of STAGES."""
    before_s, began = talk.sent_s, time.perf_counter()
    waiting = asyncio.ensure_future(_stages(talk))
    while not waiting.done():
        at_s = talk.sent_s - before_s
        await asyncio.wait({waiting}, timeout=max(0.0, began + at_s + PIECE_S - time.perf_counter()))
        piece = question.samples[round(at_s * RATE) : round((at_s + PIECE_S) * RATE)]
        await talk.append(concat([Audio(piece, RATE), silence(PIECE_S - len(piece) / RATE, RATE)], RATE))
    ended_ms, times = await waiting
    return tuple(at - began - (ended_ms / 1000 - before_s) for at in times)


async def _stages(talk: Session) -> tuple[int, list[float]]:
    stopped = await talk.until("input_audio_buffer.speech_stopped")
    times = [time.perf_counter()]
    for kind in ("conversation.item.input_audio_transcription.completed", "response.output_audio.delta"):
        await talk.until(kind)
        times.append(time.perf_counter())
    await talk.until("response.done")
    return stopped["audio_end_ms"], times


async def turns(served: Served) -> dict[str, list[float]]:
    questions = [await asyncio.to_thread(spoken, served, text) for text in QUESTIONS]
    found: dict[str, list[float]] = {stage: [] for stage in STAGES}
    for question in questions:
        for number in range(ROUNDS + 1):
            async with session(served, "model=gpt-realtime", "realtime", **TRANSCRIPTION) as talk:
                # The smallest model may not find an end by itself.
                await talk.send("session.update", session={"type": "realtime", "max_output_tokens": 40})
                await talk.until("session.updated")
                seconds = await turn(talk, question)
            if number:  # the first turn loads the models
                for stage, value in zip(STAGES, seconds, strict=True):
                    found[stage].append(value)
    return found


def measured(settings: Mapping[str, str]) -> None:
    """Print the stages of the turns of a server with and without early answers."""
    for is_early in (False, True):
        with serve({"OS_OFFLINE": "true", **VOICE, **settings, "OS_EARLY_ANSWERS": str(is_early).lower()}) as served:
            found = asyncio.run(turns(served))
            counted = [
                line for line in httpx.get(f"{served.url}/metrics").text.splitlines() if line.startswith("open_speech_early_answers_t")
            ]
        print(f"  early answers {'on' if is_early else 'off'}")
        for stage, seconds in found.items():
            ordered = sorted(seconds)
            late = ordered[int(len(ordered) * 0.9)]
            print(f"    {stage:16s} {len(ordered):3d}   median {statistics.median(ordered):6.3f} s   90 % {late:6.3f} s", flush=True)
        for line in counted:
            print(f"    {line}")


def run() -> int:
    """Print the tables."""
    with scripted() as url:
        print(f"  scripted language model, {FIRST_TOKEN_S:g} s to its first token, from the end of speech")
        measured({"LLM_BASE_URL": url, "LLM_MODEL": "scripted"})
    print(f"  {MODEL}, from the end of speech")
    measured({"LLM_MODEL": MODEL, "LLM_CONTEXT_SIZE": "2048", "LLM_PARALLEL": "2", "LLM_THREADS": "1"})
    return 0
