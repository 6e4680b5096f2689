"""Calls that kill one replica after the other: what is counted against them, and when they are refused."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncGenerator, Collection
from typing import Any

import numpy as np
import pytest

from open_speech.audio import Audio
from open_speech.backends import SpeechOptions
from open_speech.dispatch.client import RunnerClient
from open_speech.dispatch.crashes import FATAL
from open_speech.dispatch.frames import END, SpeakCall, audio_frame
from open_speech.dispatch.link import Link, RunnerGone
from open_speech.dispatch.replicas import Replicas
from open_speech.errors import BackendCrashed, SpeechError
from tests.fake_runner import FakeRunner

TONE = Audio(np.full(100, 0.5, np.float32), 24_000)


class Deadly(FakeRunner):
    """A replica that is killed by the text `die`, and restarted at once."""

    def __init__(self) -> None:
        self.deaths = 0

    async def synthesize(self, call: SpeakCall) -> AsyncGenerator[bytes, None]:
        if call.text == "die":
            self.deaths += 1
            raise RunnerGone("killed")
        yield audio_frame(TONE).encode() + END.encode()

    async def status(self, question: object) -> dict[str, Any]:
        ended = {"pid": 100 + self.deaths, "code": -signal.SIGILL} if self.deaths else None
        return {"pid": 101 + self.deaths, "previous_exit": ended, "loaded": {}}


class Restarted:
    """Four such replicas."""

    def __init__(self) -> None:
        self.there = {address: Deadly() for address in ("a", "b", "c", "d")}

    async def addresses(self) -> Collection[str]:
        return self.there

    def connect(self, address: str) -> Link:
        return self.there[address]

    async def close(self, link: Link) -> None:
        """Nothing is open."""


async def speak(client: RunnerClient, text: str) -> int:
    return len([audio async for audio in client.synthesize("m", text, SpeechOptions("v"))])


def test_a_call_that_kills_replicas_is_given_up_and_the_deaths_at_all_of_them_count() -> None:
    async def scenario() -> None:
        runners = Restarted()
        client = RunnerClient("toy", Replicas("toy", runners, refresh_s=5), deadline_s=5)
        errors: list[SpeechError] = []
        for _ in range(3):
            with pytest.raises(SpeechError) as raised:
                await speak(client, "die")
            errors.append(raised.value)
        assert isinstance(errors[-1], BackendCrashed)
        assert sum(runner.deaths for runner in runners.there.values()) == FATAL, "it was sent again after it was given up"
        assert await speak(client, "hello") == 1

    asyncio.run(scenario())
