"""Transcribe live speech: raw audio on standard input, text on standard output.

    arecord -q -t raw -f S16_LE -r 24000 -c 1 | python live_captions.py

Needs `pip install "openai[realtime]"`. `OPENAI_BASE_URL` and `OPENAI_API_KEY` set the server, as for every client of OpenAI's API; the
default is a server on this machine.
"""

from __future__ import annotations

import asyncio
import base64
import os
import sys

from openai import AsyncOpenAI
from openai.resources.realtime.realtime import AsyncRealtimeConnection

RATE = 24_000
CHUNK_BYTES = RATE // 10 * 2
"""A tenth of a second of audio."""
LAST_TRANSCRIPT_S = 30
"""Longest wait for the last transcript, in seconds."""


async def main() -> None:
    """Send audio and print transcripts until standard input ends."""
    client = AsyncOpenAI(
        base_url=os.environ.get("OPENAI_BASE_URL", "http://127.0.0.1:8100/v1"), api_key=os.environ.get("OPENAI_API_KEY", "unused")
    )
    async with client.realtime.connect(model="whisper-1", extra_query={"intent": "transcription"}) as connection:
        printing = asyncio.create_task(show(connection))
        await send(connection)
        await asyncio.wait({printing}, timeout=LAST_TRANSCRIPT_S)
        printing.cancel()


async def send(connection: AsyncRealtimeConnection) -> None:
    """Send standard input as it arrives; at its end, commit the remaining audio as a last turn."""
    while chunk := await asyncio.to_thread(sys.stdin.buffer.read, CHUNK_BYTES):
        await connection.input_audio_buffer.append(audio=base64.b64encode(chunk[: len(chunk) // 2 * 2]).decode())
    await connection.session.update(session={"type": "transcription", "audio": {"input": {"turn_detection": None}}})
    await connection.input_audio_buffer.commit()


async def show(connection: AsyncRealtimeConnection) -> None:
    """Print text as it is recognized, one line per turn in the order of speech, up to the last turn, which `send` commits."""
    turns: dict[str, list[str]] = {}
    done: set[str] = set()
    sent = last = False
    while not last or turns:
        event = await connection.recv()
        match event.type:
            case "session.updated":
                sent = True
            case "input_audio_buffer.speech_started":
                turns[event.item_id] = []
            case "input_audio_buffer.committed":
                turns.setdefault(event.item_id, [])
                last = sent
            case "conversation.item.input_audio_transcription.delta":
                turns[event.item_id].append(event.delta)
            case "conversation.item.input_audio_transcription.completed":
                turns[event.item_id].append("\n")
                done.add(event.item_id)
            case "conversation.item.input_audio_transcription.failed":
                print(event.error.message, file=sys.stderr)
                done.add(event.item_id)
            case "error" if event.error.code == "input_audio_buffer_commit_empty":
                last = True
            case "error":
                sys.exit(event.error.message)
        print_first(turns, done)


def print_first(turns: dict[str, list[str]], done: set[str]) -> None:
    """Print all finished turns before the first unfinished one, and new text of that one: a short turn may finish before a long one."""
    while turns:
        first = next(iter(turns))
        print("".join(turns[first]), end="", flush=True)
        turns[first].clear()
        if first not in done:
            return
        del turns[first]


if __name__ == "__main__":
    asyncio.run(main())
