"""Spoken conversations in the fast tier: the tones pair, a detector that takes loud audio for speech, and a client in real time."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

from websockets.asyncio.client import ClientConnection, connect

from open_speech.audio import Audio, concat, silence, to_pcm16
from open_speech.backends import ModelEntry, Setup, SpeechOptions, Task
from open_speech.config import Settings
from open_speech.dispatch.client import RunnerClient
from open_speech.engine import Engine
from open_speech.recognition.live.segmenter import Loudness
from open_speech.recognition.vad import SpeechModel, SpeechProbabilities
from runners.tones import TonesSynthesizer
from runners.wiring.engine import local_engine
from tests.engines import engine_over
from tests.waiting import PATIENCE_S, Pace

RATE = 24_000
STEP_S = 0.05


class LoudSpeech(SpeechModel):
    """A speech detector for tones, which no network takes for speech."""

    def __init__(self) -> None:
        """There is no file."""

    def stream(self) -> SpeechProbabilities:
        return cast(SpeechProbabilities, Loudness())


def talking_engine(settings: Settings, *, change: Callable[[str, RunnerClient], RunnerClient] = lambda _, client: client) -> Engine:
    """Build the engine of the tones pair over a detector that understands it; `change` may replace the client of a backend."""
    base = local_engine(settings)
    clients = {name: change(name, client) for name, client in base.pool.clients.items()}
    return engine_over(base.registry, clients, detector=LoudSpeech, max_text_chars=4096, max_queue=64, voices=base.voices)


def tones(text: str) -> Audio:
    voice = TonesSynthesizer(Setup(ModelEntry("tones", "tones", Task.TTS, "MIT", ("en",)), Path()))
    return concat(voice.synthesize(text, SpeechOptions("tone")), RATE)


class Talker:
    """One client in real time: what is sent is heard at its pace, what comes is collected with the time of its arrival."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.events: list[dict[str, Any]] = []
        self._read = 0

    async def send(self, kind: str, **fields: Any) -> None:
        await self.socket.send(json.dumps({"type": kind, **fields}))

    async def say(self, audio: Audio) -> None:
        """Send audio in real time."""
        pace = Pace()
        size = round(STEP_S * RATE)
        for start in range(0, len(audio.samples), size):
            piece = Audio(audio.samples[start : start + size], RATE)
            await self.send("input_audio_buffer.append", audio=base64.b64encode(to_pcm16(piece)).decode())
            await asyncio.sleep(pace.until_s((start + size) / RATE))

    async def quiet(self, seconds: float) -> None:
        await self.say(silence(seconds, RATE))

    async def collect(self) -> None:
        """Collect events until the connection ends."""
        async for message in self.socket:
            self.events.append(json.loads(message))

    async def until(self, kind: str, *, count: int = 1, quiet: bool = False) -> dict[str, Any]:
        """Wait until an event has come so many times; with `quiet`, the microphone stays on meanwhile."""
        async with asyncio.timeout(PATIENCE_S):
            while len(found := self.all(kind)) < count:
                await (self.quiet(STEP_S) if quiet else asyncio.sleep(0.01))
        return found[count - 1]

    def all(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event["type"] == kind]

    def types(self, *kinds: str) -> list[str]:
        """List the types of the events, one for several of a kind in a row; only those that begin with one of `kinds`."""
        names = [event["type"] for event in self.events if event["type"].startswith(kinds)]
        return [name for name, before in zip(names, [None, *names], strict=False) if name != before]

    async def turn_on(self, *, turns: Mapping[str, Any] | None = None, **session: Any) -> None:
        """Configure the session."""
        detection = {"type": "server_vad", "silence_duration_ms": 800, **(turns or {})}
        heard = {"turn_detection": detection, "transcription": {"model": "tones/listen"}}
        await self.send("session.update", session={"type": "realtime", "audio": {"input": heard}, **session})
        await self.until("session.updated")


@asynccontextmanager
async def talker(url: str, **configured: Any) -> AsyncIterator[Talker]:
    async with connect(f"ws{url.removeprefix('http')}/v1/realtime?model=gpt-realtime", max_size=None) as socket:
        opened = Talker(socket)
        collecting = asyncio.create_task(opened.collect())
        try:
            await opened.turn_on(**configured)
            yield opened
        finally:
            collecting.cancel()
            await asyncio.gather(collecting, return_exceptions=True)
