"""Worker process of a peer: one job per line on standard input, one answer per line on standard output, many concurrently.

`sequential` and `batched` call the faster-whisper library in this process, so that its CPU time is theirs. `wyoming` only sends audio
to a wyoming-faster-whisper server. Run by path, in the environment that has the package: this project's packages are not imported.
"""

from __future__ import annotations

import asyncio
import json
import sys
import threading
import wave
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

Transcribe = Callable[[str], str]
MOST_CALLERS = 32
BEAM = 5
CHUNK_FRAMES = 1024
"""Frames per chunk, as Home Assistant sends them."""


def sequential(folder: str, threads: str) -> Transcribe:
    """Return the library with its defaults, and the same beam size and number of threads."""
    from faster_whisper import WhisperModel

    model = WhisperModel(folder, device="cpu", compute_type="int8", cpu_threads=int(threads))

    def transcribe(path: str) -> str:
        segments, _ = model.transcribe(path, language="en", beam_size=BEAM)
        return "".join(segment.text for segment in segments)

    return transcribe


def batched(folder: str, threads: str) -> Transcribe:
    """Return the library with its own batching: windows of one file, decoded together."""
    from faster_whisper import BatchedInferencePipeline, WhisperModel

    pipeline = BatchedInferencePipeline(WhisperModel(folder, device="cpu", compute_type="int8", cpu_threads=int(threads)))

    def transcribe(path: str) -> str:
        segments, _ = pipeline.transcribe(path, language="en", beam_size=BEAM)
        return "".join(segment.text for segment in segments)

    return transcribe


def wyoming(uri: str) -> Transcribe:
    """Return a client of a Wyoming server, with the protocol's own library."""
    from wyoming.asr import Transcribe, Transcript
    from wyoming.audio import AudioStart, AudioStop, wav_to_chunks
    from wyoming.client import AsyncClient

    async def request(path: str) -> str:
        async with AsyncClient.from_uri(uri) as client:
            with wave.open(path, "rb") as file:
                await client.write_event(Transcribe(language="en").event())
                await client.write_event(AudioStart(file.getframerate(), file.getsampwidth(), file.getnchannels()).event())
                for chunk in wav_to_chunks(file, CHUNK_FRAMES):
                    await client.write_event(chunk.event())
                await client.write_event(AudioStop().event())
            while event := await client.read_event():
                if Transcript.is_type(event.type):
                    return Transcript.from_event(event).text
        raise ConnectionError("the server closed without an answer")

    return lambda path: asyncio.run(request(path))


def serve(transcribe: Transcribe) -> None:
    """Answer jobs `{id, path}` with `{id, text}`, or `{id, error}`, until standard input ends."""
    turn = threading.Lock()

    def send(answer: dict[str, str]) -> None:
        with turn:
            print(json.dumps(answer), flush=True)

    def work(job: dict[str, str]) -> None:
        try:
            send({"id": job["id"], "text": transcribe(job["path"])})
        except Exception as failure:  # noqa: BLE001 - the boundary of this process: the caller must not wait forever
            send({"id": job["id"], "error": f"{type(failure).__name__}: {failure}"})

    send({"id": "ready"})
    with ThreadPoolExecutor(MOST_CALLERS) as pool:
        for line in sys.stdin:
            pool.submit(work, json.loads(line))


if __name__ == "__main__":
    serve({"sequential": sequential, "batched": batched, "wyoming": wyoming}[sys.argv[1]](*sys.argv[2:]))
