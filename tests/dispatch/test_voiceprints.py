"""Voiceprints from the front process to the runner and back, on a small backend written here."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from open_speech.audio import Audio
from open_speech.backends import STT_RATE, BackendEntry, ModelEntry, Setup, Task
from open_speech.dispatch.client import RunnerClient
from open_speech.dispatch.frames import LIVE, VoiceprintsCall
from open_speech.registry import Defaults, Registry
from open_speech.weights import Store
from runners.host.host import Host, HostOptions
from tests.loud_voices import LoudVoices, spoken
from tests.waiting import PATIENCE_S

MODEL = ModelEntry("toy", "toy", Task.DIARIZE, "MIT", ("en",))
ENTRY = BackendEntry("toy", Task.DIARIZE, "nowhere:Toy", (), "", "MIT", diarizes=False, voiceprints=True)


class Toy:
    """The voiceprint of a window is its length and its mean."""

    def __init__(self, setup: Setup) -> None: ...

    def load(self) -> None: ...

    def voiceprints(self, audio: Audio, windows: Sequence[tuple[float, float]]) -> NDArray[np.float32]:
        cuts = [audio.samples[round(start * STT_RATE) : round(end * STT_RATE)] for start, end in windows]
        return np.array([[len(cut), cut.mean()] for cut in cuts], np.float32).reshape(len(windows), 2)


def test_the_windows_and_the_voiceprints_arrive(tmp_path: Path) -> None:
    registry = Registry([ENTRY], [MODEL], {"toy": "inproc"}, Defaults("", "", ""))
    host = Host(Toy, registry, Store(tmp_path, offline=True), HostOptions(heartbeat_s=0.02), threads=1)
    client = RunnerClient("toy", host, deadline_s=PATIENCE_S)
    found = asyncio.run(client.voiceprints("toy", spoken(2, 7), [(0.0, 0.5), (0.5, 0.75)], urgency=LIVE))
    assert np.allclose(found, [[8000, 0.2], [4000, 0.7]])
    assert len(asyncio.run(client.voiceprints("toy", spoken(2), []))) == 0


def test_a_call_to_another_machine_is_json_and_says_the_same() -> None:
    call = VoiceprintsCall.of("toy", spoken(3), [(0.0, 0.25), (0.25, 0.5)], LIVE)
    received = VoiceprintsCall.model_validate_json(call.model_dump_json())
    audio, windows = received.unpack()
    assert np.array_equal(audio.samples, spoken(3).samples)
    assert windows == ((0.0, 0.25), (0.25, 0.5))
    assert received.urgency == LIVE


def test_a_call_whose_runner_died_is_repeated() -> None:
    voices = LoudVoices()
    voices.is_dead = True
    client = RunnerClient("voices", voices, deadline_s=PATIENCE_S)

    async def scene() -> NDArray[np.float32]:
        asking = asyncio.create_task(client.voiceprints("voices/one", spoken(2), [(0.0, 0.5)]))
        while not voices.calls:
            await asyncio.sleep(0.01)
        voices.is_dead = False
        return await asking

    assert asyncio.run(scene()).shape == (1, 10)
    assert voices.calls == 2
