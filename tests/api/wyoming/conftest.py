"""A Wyoming door of the test's own, over the tones or over a runner that does what the text says."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace

import numpy as np
import pytest

from benchmarks.served import free_port
from open_speech.api.wyoming.access import ConnectionLimit
from open_speech.api.wyoming.info import Offer
from open_speech.api.wyoming.server import WyomingServer, serving
from open_speech.api.wyoming.service import Rules, Service
from open_speech.audio import Audio
from open_speech.backends import BackendEntry, ModelEntry, Task, Voice
from open_speech.config import Settings
from open_speech.dispatch.client import RunnerClient
from open_speech.dispatch.frames import END, SpeakCall, audio_frame
from open_speech.dispatch.link import RunnerGone
from open_speech.registry import Defaults, Registry
from runners.wiring.engine import local_engine
from runners.wiring.factories import speech_model
from runners.wiring.wyoming_service import service_of
from tests.engines import engine_over
from tests.fake_runner import FakeRunner

Opened = Callable[..., AbstractAsyncContextManager[int]]


@asynccontextmanager
async def opened(service: Service, admission: ConnectionLimit | None = None, *, idle_s: float | None = None) -> AsyncIterator[int]:
    """Serve on a free loopback port; gives the port."""
    if idle_s is not None:
        service = replace(service, rules=replace(service.rules, idle_s=idle_s))
    port = free_port()
    async with serving(WyomingServer(f"tcp://127.0.0.1:{port}"), admission or ConnectionLimit(), service):
        yield port


@pytest.fixture
def door() -> Opened:
    """`opened`, for a service of the test's choice."""
    return opened


@pytest.fixture
def tones(tones_settings: Settings) -> Service:
    """The tones pair, in this process."""
    return service_of(local_engine(tones_settings), tones_settings)


class Mouth(FakeRunner):
    """A runner that speaks two seconds of noise for a piece of text, hangs at `hang` and dies at `break`."""

    def __init__(self) -> None:
        self.pieces = 0
        self.left = threading.Event()
        """Set when a piece was abandoned."""

    async def synthesize(self, call: SpeakCall) -> AsyncGenerator[bytes, None]:
        self.pieces += 1
        try:
            if "break" in call.text:
                raise RunnerGone("died")
            if "hang" in call.text:
                await asyncio.sleep(3600)
            noise = np.random.default_rng(0).uniform(-0.5, 0.5, 48_000).astype(np.float32)
            yield audio_frame(Audio(noise, 24_000)).encode() + END.encode()
        except asyncio.CancelledError:
            self.left.set()
            raise


@pytest.fixture
def mouth() -> Mouth:
    return Mouth()


@pytest.fixture
def speaking(mouth: Mouth, tones_settings: Settings) -> Service:
    """A service whose speech is `mouth`."""
    backend = BackendEntry("mouth", Task.TTS, "x:X", (), "", "MIT", piece_chars=60)
    model = ModelEntry("mouth", "mouth", Task.TTS, "MIT", ("en",), voices=(Voice("ann", "en"),), default_voice="ann")
    registry = Registry([backend], [model], {"mouth": "process"}, Defaults("ear", "mouth", "ann"))
    clients = {"mouth": RunnerClient("mouth", mouth, deadline_s=30)}
    engine = engine_over(registry, clients, detector=speech_model(tones_settings), max_text_chars=100_000)
    offer = Offer(engine.voices, is_here=lambda entry: True, streams=lambda entry: True)
    return Service(engine, offer, Rules(idle_s=30, longest_s=60, vad_threshold=None))
