"""Engines for tests: over a registry and clients of the test's own, or over one runner for one voice and one recognizer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping

import numpy as np

from open_speech.audio import Audio, concat
from open_speech.backends import BackendEntry, ModelEntry, SpeechOptions, Task, TranscribeOptions, Voice
from open_speech.codecs import wav_bytes
from open_speech.dispatch.client import RunnerClient
from open_speech.dispatch.frames import END, DiarizeCall, SpeakCall, TranscribeCall, WindowCall, audio_frame, transcript_frame
from open_speech.dispatch.link import RunnerGone
from open_speech.engine import Engine
from open_speech.recognition.live.turn_decider import TurnDecider
from open_speech.recognition.request import RecognitionDefaults, RecognitionRequest
from open_speech.recognition.vad import SpeechModel
from open_speech.registry import Defaults, Registry
from open_speech.synthesis.plan import SynthesisDefaults
from open_speech.synthesis.stream import SpeechStream
from open_speech.text.pronunciation import Pronunciation
from open_speech.transcript import Segment, TranscriptInfo
from open_speech.voices import VoiceResolver
from tests.fake_runner import FakeRunner

RATE = 24_000
MOUTH = BackendEntry("mouth", Task.TTS, "x:X", (), "", "MIT", speed_range=(0.5, 2.0), piece_chars=60, openai_voices={"alloy": "ann"})
EAR = BackendEntry("ear", Task.STT, "x:X", (), "", "MIT")
MODELS = [
    ModelEntry("mouth/one", "mouth", Task.TTS, "MIT", ("en",), voices=(Voice("ann", "en"), Voice("bob", "en")), default_voice="ann"),
    ModelEntry("ear/one", "ear", Task.STT, "MIT", ("en",)),
]
TRANSCRIBE = RecognitionRequest("whisper-1")


def no_detector() -> SpeechModel:
    raise AssertionError("whole files need no speech detector")


def engine_over(
    registry: Registry,
    clients: Mapping[str, RunnerClient],
    *,
    detector: Callable[[], SpeechModel] = no_detector,
    max_audio_s: float = 60,
    max_text_chars: int = 100,
    max_queue: int = 8,
    voices: VoiceResolver | None = None,
    pronunciation: Pronunciation | None = None,
    turns: TurnDecider | None = None,
) -> Engine:
    """Build an engine without a cache and without speech detection by default."""
    return Engine(
        registry,
        clients,
        detector=detector,
        recognition=RecognitionDefaults(max_audio_s),
        synthesis=SynthesisDefaults(max_text_chars),
        max_queue=max_queue,
        voices=voices,
        pronunciation=pronunciation,
        turns=turns,
    )


class Runner(FakeRunner):
    """A runner whose voice is 0.1 s of sound per piece of text; remembers what it was asked and how it was left."""

    def __init__(self, delay_s: float = 0.0) -> None:
        self.delay_s = delay_s
        self.asked: list[tuple[str, SpeechOptions]] = []
        self.heard_s: list[float] = []
        self.options: list[TranscribeOptions] = []
        self.abandoned = 0

    async def synthesize(self, call: SpeakCall) -> AsyncGenerator[bytes, None]:
        self.asked.append(call.unpack())
        finished = False
        try:
            if "boom" in call.text:
                raise RunnerGone("boom")
            await asyncio.sleep(self.delay_s)
            yield audio_frame(Audio(np.full(RATE // 10, 0.25, np.float32), RATE)).encode()
            finished = True
            yield END.encode()
        finally:
            self.abandoned += not finished

    def hear(self, call: WindowCall) -> AsyncGenerator[bytes, None]:
        raise AssertionError("the ear of these tests takes whole files")

    def diarize(self, call: DiarizeCall) -> AsyncGenerator[bytes, None]:
        raise AssertionError("nobody asked who spoke")

    async def transcribe(self, call: TranscribeCall) -> AsyncGenerator[bytes, None]:
        audio, options = call.unpack()
        self.heard_s.append(audio.seconds)
        self.options.append(options)
        await asyncio.sleep(self.delay_s)
        for item in (TranscriptInfo("en", 1.0, audio.seconds), Segment(0, 1, " heard")):
            yield transcript_frame(item).encode()
        yield END.encode()


def engine(runner: Runner, *, max_queue: int = 8, pronunciation: Pronunciation | None = None) -> Engine:
    """Build an engine whose voice and recognizer are one runner."""
    served = {"mouth": "process", "ear": "process"}
    registry = Registry([MOUTH, EAR], MODELS, served, Defaults("ear/one", "mouth/one", "ann"))
    clients = {name: RunnerClient(name, runner, deadline_s=5) for name in served}
    return engine_over(registry, clients, max_text_chars=4096, max_queue=max_queue, pronunciation=pronunciation)


async def hear(speech: SpeechStream) -> Audio:
    return concat([piece async for piece in speech], speech.rate)


def upload(seconds: float) -> bytes:
    return wav_bytes(Audio(np.zeros(round(seconds * 8000), np.float32), 8000))
