"""Overhead of the server over the raw engine call: the same weights, the same options, by turns in one run.

Raw is the library called in this process, from the file to the text, or from the text to PCM. Served is the HTTP request of a client.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import httpx
import numpy as np
from faster_whisper import WhisperModel

from benchmarks.clips import clip, model_folder
from benchmarks.peers import PAUSE_S
from benchmarks.served import Served
from open_speech.audio import Audio, to_pcm16
from open_speech.backends import STT_RATE, Setup, SpeechOptions, Synthesizer, TranscribeOptions, Vad
from open_speech.codecs import decode
from runners import catalog
from runners.kokoro import Kokoro
from runners.piper import Piper
from runners.support.whisper_options import decoder_options

ROUNDS = 12
STT_MODEL = "Systran/faster-whisper-base"
SENTENCE = "The quick brown fox jumps over the lazy dog, and then it runs home."


@dataclass(frozen=True)
class Pair:
    """The times of ROUNDS raw and ROUNDS served calls of one operation, in seconds."""

    name: str
    raw: list[float]
    served: list[float]
    raw_cpu: float
    served_cpu: float

    def row(self) -> str:
        added = statistics.median(s - r for r, s in zip(self.raw, self.served, strict=True)) * 1000
        cpu = (self.served_cpu / self.raw_cpu - 1) * 100
        raw, served = statistics.median(self.raw), statistics.median(self.served)
        seconds = f"{raw:9.3f} {served:9.3f} {added:+10.1f} {self.raw_cpu / ROUNDS:9.3f} {self.served_cpu / ROUNDS:9.3f}"
        return f"{self.name:34s} {seconds} {cpu:+8.1f} %"


def run(served: Served) -> None:
    """Print the table."""
    print(f"{'':34s} {'raw s':>9s} {'served s':>9s} {'added ms':>10s} {'raw CPU s':>9s} {'CPU s':>9s} {'added CPU':>10s}")
    with httpx.Client(base_url=served.url, timeout=120) as client:
        for path in (clip("beckett"), clip("two_cities")):
            print(pair(f"transcribe {path.stem}", raw_transcribe(path), served_transcribe(client, path), served).row(), flush=True)
        for backend, model, voice in ((Kokoro, "kokoro", "af_heart"), (Piper, "piper/en_US-joe-medium", "en_US-joe-medium")):
            raw, over_http = raw_speech(backend, model, voice), served_speech(client, model, voice)
            print(pair(f"speak a sentence, {backend.__name__}", raw, over_http, served).row(), flush=True)


def pair(name: str, raw: Callable[[], object], over_http: Callable[[], object], served: Served) -> Pair:
    """Measure both calls by turns; the first turn is a warm-up and is not counted."""
    times: tuple[list[float], list[float]] = ([], [])
    cpu = [0.0, 0.0]
    for turn in range(ROUNDS + 1):
        for side, (call, meter) in enumerate(((raw, time.process_time), (over_http, served.cpu_s))):
            time.sleep(PAUSE_S)
            before, started = meter(), time.perf_counter()
            call()
            took, used = time.perf_counter() - started, meter() - before
            if turn:
                times[side].append(took)
                cpu[side] += used
    return Pair(name, *times, *cpu)


def raw_transcribe(path: Path) -> Callable[[], object]:
    import os

    model = WhisperModel(
        str(model_folder(STT_MODEL)), device="cpu", compute_type="int8", cpu_threads=len(os.sched_getaffinity(0)), num_workers=1
    )

    def call() -> object:
        # Decoded as in the server: another resampler would move Whisper's windows, and the texts would differ.
        audio = decode(path, STT_RATE, max_seconds=600)
        options = decoder_options(TranscribeOptions(vad=Vad()), audio.seconds)
        segments, _ = model.transcribe(audio.samples, language="en", **options)
        return list(segments)

    return call


def served_transcribe(client: httpx.Client, path: Path) -> Callable[[], object]:
    data = path.read_bytes()

    def call() -> object:
        answer = client.post("/v1/audio/transcriptions", files={"file": ("a.wav", data)}, data={"model": STT_MODEL, "language": "en"})
        return answer.raise_for_status().json()

    return call


def raw_speech(backend: type[Synthesizer], model_id: str, voice: str) -> Callable[[], object]:
    """Return a call of the backend class itself, which only calls the library."""
    entry = next(model for model in catalog.models() if model.id == model_id)
    engine = backend(Setup(entry, model_folder(model_id)))
    engine.load()

    def call() -> object:
        return [to_pcm16(piece) for piece in engine.synthesize(SENTENCE, SpeechOptions(voice))]

    return call


def served_speech(client: httpx.Client, model_id: str, voice: str) -> Callable[[], object]:
    body = {"model": model_id, "voice": voice, "input": SENTENCE, "response_format": "wav"}

    def call() -> object:
        answer = client.post("/v1/audio/speech", json=body).raise_for_status()
        return Audio(np.frombuffer(answer.content[44:], "<i2").astype(np.float32), 24_000)

    return call
