from __future__ import annotations

import asyncio
from typing import Any

import pytest

from open_speech import config
from open_speech.audio import concat
from open_speech.backends import Task, TranscribeOptions
from open_speech.codecs import wav_bytes
from open_speech.config import SettingsError
from runners import _topology as topology
from runners import catalog
from runners._plan import plan
from runners._service import Resources


def settings(**values: str) -> config.Settings:
    return config.load(values)


def test_a_backend_runs_in_a_process_of_its_own_unless_told_otherwise() -> None:
    placements = plan(settings(STT_BACKENDS="tones-stt", TTS_BACKENDS="tones-tts@inproc"))
    assert [(p.backend.name, p.where) for p in placements] == [("tones-stt", "process"), ("tones-tts", "inproc")]


def test_a_backend_on_another_machine_needs_nothing_installed_here() -> None:
    placements = plan(settings(STT_BACKENDS="tones-stt@http://gpu-box:3000", TTS_ENABLED="false"))
    assert [p.where for p in placements] == ["http://gpu-box:3000"]


@pytest.mark.parametrize("value", ["wishper", "kokoro", "tones-stt@mars", "tones-stt@ftp://x"])
def test_a_wrong_placement_stops_the_start_and_is_named(value: str) -> None:
    with pytest.raises(SettingsError, match="STT_BACKENDS"):
        plan(settings(STT_BACKENDS=value))


def test_speech_can_be_switched_off() -> None:
    assert all(p.backend.task is Task.STT for p in plan(settings(STT_BACKENDS="tones-stt", TTS_ENABLED="false")))


@pytest.mark.parametrize("entry", [b for b in catalog.BACKENDS if catalog.installed(b)], ids=lambda b: b.name)
def test_every_backend_has_its_service_at_the_foot_of_its_file(entry: Any) -> None:
    service = topology.service_of(entry)
    method = "transcribe" if entry.task is Task.STT else "synthesize"
    assert {method, "load_model", "unload_model", "status"} <= set(service.apis)
    assert service.config["runner_connection"]["max_requests"] > 1_000_000
    assert service.config["runner_probe"] == {"enabled": False}
    assert service.config["workers"] >= 1
    assert service.config["threads"] >= 1
    assert "gpu" in service.labels


def test_resources_default_to_one_process_and_one_call() -> None:
    assert Resources() == Resources(gpu=0.0, workers=1, threads=1)


def test_a_local_engine_speaks_and_hears_without_any_server() -> None:
    engine = topology.local_engine(
        settings(
            STT_BACKENDS="tones-stt", TTS_BACKENDS="tones-tts", STT_MODEL="tones/listen", TTS_MODEL="tones/speak",
            TTS_VOICE="tone", OS_OFFLINE="true", STT_VAD_ENABLED="false",
        )  # fmt: skip
    )

    async def round_trip() -> str:
        speech = await engine.speak("tts-1", "Hello from the engine.")
        sound = concat([piece async for piece in speech], speech.rate)
        return (await engine.transcribe(wav_bytes(sound), "whisper-1", TranscribeOptions())).text

    assert asyncio.run(round_trip()) == "Hello from the engine."
