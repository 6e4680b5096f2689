"""A client that leaves while its audio is still being transcribed: no window is begun for it any more."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncGenerator, Callable
from typing import Any

import numpy as np
import pytest
from wyoming.asr import Transcribe
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.event import async_write_event

from open_speech.api.wyoming.access import ConnectionLimit
from open_speech.api.wyoming.info import Offer
from open_speech.api.wyoming.service import Rules, Service
from open_speech.audio import Audio, to_pcm16
from open_speech.backends import BackendEntry, ModelEntry, Task
from open_speech.config import Settings
from open_speech.dispatch.client import RunnerClient
from open_speech.dispatch.frames import LoadModel, TranscribeCall
from open_speech.registry import Defaults, Registry
from runners.wiring.factories import speech_model
from tests.engines import engine_over
from tests.fake_runner import FakeRunner
from tests.waiting import PATIENCE_S, eventually

RATE, MINUTES, MOST = 16_000, 4, 6


class Waiting(FakeRunner):
    """A runner that never comes to an end, and counts the windows that it was given."""

    def __init__(self) -> None:
        self.begun = self.left = 0

    async def transcribe(self, call: TranscribeCall) -> AsyncGenerator[bytes, None]:
        self.begun += 1
        try:
            await asyncio.sleep(3600)
            yield b""
        finally:
            self.left += 1

    async def load_model(self, call: LoadModel) -> AsyncGenerator[bytes, None]:
        await asyncio.sleep(3600)
        yield b""


def service_with(runner: Waiting, settings: Settings) -> Service:
    backend = BackendEntry("ear", Task.STT, "x:X", (), "", "MIT", window_s=10.0)
    model = ModelEntry("ear", "ear", Task.STT, "MIT", ("en",))
    registry = Registry([backend], [model], {"ear": "process"}, Defaults("ear", "mouth", "ann"))
    clients = {"ear": RunnerClient("ear", runner, deadline_s=600)}
    engine = engine_over(registry, clients, detector=speech_model(settings), max_audio_s=3600)
    offer = Offer(engine.voices, is_here=lambda entry: True, streams=lambda entry: True)
    return Service(engine, offer, Rules(idle_s=600, longest_s=3600, vad_threshold=None))


def close(writer: asyncio.StreamWriter) -> None:
    writer.close()


def reset(writer: asyncio.StreamWriter) -> None:
    """Close as a program that is killed with something unread does."""
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


@pytest.mark.parametrize(("is_complete", "leave"), [(False, close), (False, reset), (True, reset)])
def test_nothing_more_is_begun_for_a_client_that_has_left(
    tones_settings: Settings, door: Callable[..., Any], is_complete: bool, leave: Callable[[asyncio.StreamWriter], None]
) -> None:
    runner = Waiting()
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, MINUTES * 60 * RATE).astype(np.float32)
    events = [Transcribe(), AudioStart(RATE, 2, 1), AudioChunk(RATE, 2, 1, to_pcm16(Audio(noise, RATE)))]

    async def scene() -> None:
        admission = ConnectionLimit(seats=1)
        async with asyncio.timeout(PATIENCE_S), door(service_with(runner, tones_settings), admission) as port:
            before = len(asyncio.all_tasks())
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            for event in events + [AudioStop()] * is_complete:
                await async_write_event(event.event(), writer)
            await eventually(lambda: runner.begun)
            leave(writer)
            await eventually(lambda: len(asyncio.all_tasks()) <= before, why=lambda: f"it still works for nobody: {runner.begun} begun")
            assert runner.left == runner.begun <= MOST

    asyncio.run(scene())
