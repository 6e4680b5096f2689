"""Time to first audio: the first byte of a long response against the whole response, in every format."""

from __future__ import annotations

import time

import httpx

from benchmarks.served import Served

TEXT = " ".join(
    f"This is sentence number {word} of a text that is long enough to take a while."
    for word in ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
)
FORMATS = ("mp3", "opus", "aac", "flac", "wav", "pcm")


def run(served: Served) -> None:
    """Print, per model and format, the seconds to the first byte, the total seconds, and their ratio."""
    with httpx.Client(base_url=served.url, timeout=300) as client:
        for model in ("kokoro", "piper/en_US-joe-medium"):
            measure(client, model, "pcm")
            for audio_format in FORMATS:
                first, total = measure(client, model, audio_format)
                print(f"  {model:24s} {audio_format:5s} first {first:6.3f} s   all {total:6.2f} s   ratio {first / total:.3f}", flush=True)


def measure(client: httpx.Client, model: str, audio_format: str) -> tuple[float, float]:
    """Synthesize the text once; return the seconds to the first byte and the total seconds."""
    body = {"model": model, "voice": "alloy", "input": TEXT, "response_format": audio_format}
    started = time.perf_counter()
    with client.stream("POST", "/v1/audio/speech", json=body) as answer:
        answer.raise_for_status()
        chunks = answer.iter_raw()
        next(chunks)
        first = time.perf_counter() - started
        for _ in chunks:
            pass
    return first, time.perf_counter() - started
