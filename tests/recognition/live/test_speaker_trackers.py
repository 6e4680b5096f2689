"""Which backend labels the speakers of live sessions, and the error of a server that has none."""

from __future__ import annotations

import asyncio

import pytest

from open_speech.backends import BackendEntry, DiarizeOptions, ModelEntry, Task
from open_speech.dispatch.client import RunnerClient
from open_speech.dispatch.pool import RunnerPool
from open_speech.errors import UnsupportedValue
from open_speech.recognition.live.speaker_trackers import SpeakerTrackers
from open_speech.recognition.live.speakers import MOST_SPEAKERS
from open_speech.registry import Defaults, Registry
from tests.engines import no_detector
from tests.loud_voices import LoudVoices, parts, said_by


def test_the_session_has_the_speakers_that_it_may_have() -> None:
    async def scene(most: int | None) -> set[str | None]:
        registry, clients = parts(LoudVoices())
        trackers = SpeakerTrackers(RunnerPool(registry, clients, max_queue=4), no_detector)
        assert trackers.is_available
        tracker = await trackers.tracker(DiarizeOptions(max_speakers=most))
        return {label for level in range(1, 5) for _, label in await said_by(tracker, *[level] * 3)}

    assert asyncio.run(scene(2)) == {"A", "B"}
    assert asyncio.run(scene(None)) == {"A", "B", "C", "D"}
    assert MOST_SPEAKERS > 4


def test_a_diarizer_of_files_alone_does_not_label_live_sessions() -> None:
    async def scene() -> None:
        entry = BackendEntry("files", Task.DIARIZE, "x:X", (), "", "MIT")
        model = ModelEntry("files", "files", Task.DIARIZE, "MIT", ("en",))
        registry = Registry([entry], [model], {"files": "process"}, Defaults("", "", ""))
        pool = RunnerPool(registry, {"files": RunnerClient("files", LoudVoices(), deadline_s=5)}, max_queue=4)
        trackers = SpeakerTrackers(pool, no_detector)
        assert not trackers.is_available
        with pytest.raises(UnsupportedValue, match=r"STT_DIARIZE_BACKENDS=campplus.*`make serve DIARIZE=1`") as refused:
            await trackers.tracker(DiarizeOptions())
        assert refused.value.param == "diarize"

    asyncio.run(scene())
