"""A server for the tests of the Live API: real speech detection, a recognizer that always understands the same, and a quick voice.

`python -m tests.contract.live_server PORT [TEXT]` serves it for clients that need an environment of their own.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import threading
import wave
from collections.abc import AsyncGenerator
from pathlib import Path

import numpy as np
import soxr
import uvicorn
from fastapi import FastAPI

from open_speech.app import create_app
from open_speech.audio import Audio, to_pcm16
from open_speech.backends import BackendEntry, ModelEntry, Task, Voice
from open_speech.config import Settings
from open_speech.dispatch.client import RunnerClient
from open_speech.dispatch.frames import END, SpeakCall, TranscribeCall, audio_frame, transcript_frame
from open_speech.dispatch.link import RunnerGone
from open_speech.errors import BackendFailed
from open_speech.registry import Defaults, Registry
from open_speech.transcript import Segment, TranscriptInfo
from runners.wiring.factories import speech_model
from tests.engines import engine_over
from tests.fake_runner import FakeRunner
from tests.language_model import KEY, serve_language_model

RATE = 24_000
SECONDS_PER_CHAR = 0.05
SPEECH = Path(__file__).parents[1] / "data" / "repeat_fox.wav"


class Runner(FakeRunner):
    """A runner that understands `text` in all speech, and speaks with a tone; `fails` makes its calls fail."""

    def __init__(self, text: str = "What is the weather like?") -> None:
        self.text = text
        self.fails: Exception | None = None
        self.spoken: list[str] = []
        self.in_progress = 0
        """Syntheses in progress."""
        self.hangs = threading.Event()
        """Set to let every synthesis hang after its first piece."""

    async def transcribe(self, call: TranscribeCall) -> AsyncGenerator[bytes, None]:
        if self.fails is not None:
            raise self.fails
        yield transcript_frame(TranscriptInfo("en", 1.0, 1.0)).encode()
        if self.text:
            yield transcript_frame(Segment(0, 1, f" {self.text}")).encode()
        yield END.encode()

    async def synthesize(self, call: SpeakCall) -> AsyncGenerator[bytes, None]:
        self.spoken.append(call.text)
        self.in_progress += 1
        try:
            if "break" in call.text:
                raise RunnerGone("died")
            if self.hangs.is_set():
                await asyncio.sleep(3600)
            samples = np.arange(round(RATE * SECONDS_PER_CHAR * len(call.text)))
            tone = (0.3 * np.sin(2 * np.pi * 220 / RATE * samples)).astype(np.float32)
            yield audio_frame(Audio(tone, RATE)).encode() + END.encode()
        finally:
            self.in_progress -= 1


def live_app(runner: Runner, folder: Path, **settings: object) -> FastAPI:
    """Build the app over a runner."""
    backends = [BackendEntry("mouth", Task.TTS, "x:X", (), "", "MIT", piece_chars=200), BackendEntry("ear", Task.STT, "x:X", (), "", "MIT")]
    models = [
        ModelEntry("mouth", "mouth", Task.TTS, "MIT", ("en",), voices=(Voice("ann", "en"), Voice("marin", "en")), default_voice="ann"),
        ModelEntry("ear", "ear", Task.STT, "MIT", ("en",)),
    ]
    registry = Registry(backends, models, {"mouth": "process", "ear": "process"}, Defaults("ear", "mouth", "ann"))
    clients = {name: RunnerClient(name, runner, deadline_s=30) for name in ("mouth", "ear")}
    configured = Settings.model_validate(
        {
            "os_models_dir": folder / "models",
            "os_offline": True,
            "os_voice_library_path": folder / "library",
            "os_jobs_dir": folder / "jobs",
        }
        | settings
    )
    engine = engine_over(registry, clients, detector=speech_model(configured), max_text_chars=100_000, max_queue=64)
    return create_app(configured, engine)


def failed() -> Exception:
    """Return an error of a runner."""
    return BackendFailed("The engine broke.")


def speech(seconds: float = 2.0, *, rate: int = RATE) -> bytes:
    """Return real speech as 16-bit PCM, from its first word on."""
    with wave.open(str(SPEECH)) as file:
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.float32) / 32768
        source = file.getframerate()
    return to_pcm16(Audio(soxr.resample(samples[: round(seconds * source)], source, rate).astype(np.float32), rate))


def main(port: int, text: str = "What is the weather like?") -> None:
    with serve_language_model() as llm, tempfile.TemporaryDirectory() as folder:
        app = live_app(Runner(text), Path(folder), llm_base_url=llm.url, llm_api_key=KEY, llm_model="small")
        uvicorn.run(app, port=port, log_level="warning")


if __name__ == "__main__":
    main(int(sys.argv[1]), *sys.argv[2:])
