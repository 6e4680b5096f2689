"""The other side of a peer: one job a line on standard input, one answer a line on standard output, many at once.

`sequential` and `batched` call the faster-whisper library here, so that this process's CPU time is theirs. `wyoming` only carries
audio to a wyoming-faster-whisper server. Run by path, in whichever environment has the package: nothing of ours is imported.
"""

from __future__ import annotations

import asyncio
import json
import sys
import threading
import wave
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

Hear = Callable[[str], str]
MOST_CALLERS = 32
BEAM = 5
CHUNK_FRAMES = 1024
"""What Home Assistant sends at a time."""


def sequential(folder: str, threads: str) -> Hear:
    """The library as everybody uses it: its defaults, the same beam and threads."""
    from faster_whisper import WhisperModel

    model = WhisperModel(folder, device="cpu", compute_type="int8", cpu_threads=int(threads))

    def transcribe_windows(path: str) -> str:
        segments, _ = model.transcribe(path, language="en", beam_size=BEAM)
        return "".join(segment.text for segment in segments)

    return transcribe_windows


def batched(folder: str, threads: str) -> Hear:
    """The library's own batching: windows of one file, decoded together."""
    from faster_whisper import BatchedInferencePipeline, WhisperModel

    pipeline = BatchedInferencePipeline(WhisperModel(folder, device="cpu", compute_type="int8", cpu_threads=int(threads)))

    def transcribe_windows(path: str) -> str:
        segments, _ = pipeline.transcribe(path, language="en", beam_size=BEAM)
        return "".join(segment.text for segment in segments)

    return transcribe_windows


def wyoming(uri: str) -> Hear:
    """The protocol of Home Assistant, through its own client."""
    from wyoming.asr import Transcribe, Transcript
    from wyoming.audio import AudioStart, AudioStop, wav_to_chunks
    from wyoming.client import AsyncClient

    async def carry(path: str) -> str:
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

    return lambda path: asyncio.run(carry(path))


def serve(transcribe_windows: Hear) -> None:
    """Answer jobs `{id, path}` with `{id, text}`, or `{id, error}`, until standard input ends."""
    turn = threading.Lock()

    def tell(answer: dict[str, str]) -> None:
        with turn:
            print(json.dumps(answer), flush=True)

    def work(job: dict[str, str]) -> None:
        try:
            tell({"id": job["id"], "text": transcribe_windows(job["path"])})
        except Exception as failure:  # noqa: BLE001 - the end of this process: whoever asked must not wait for ever
            tell({"id": job["id"], "error": f"{type(failure).__name__}: {failure}"})

    tell({"id": "ready"})
    with ThreadPoolExecutor(MOST_CALLERS) as pool:
        for line in sys.stdin:
            pool.submit(work, json.loads(line))


if __name__ == "__main__":
    serve({"sequential": sequential, "batched": batched, "wyoming": wyoming}[sys.argv[1]](*sys.argv[2:]))
