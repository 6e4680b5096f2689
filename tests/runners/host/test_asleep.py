from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from open_speech import __version__
from open_speech.config import Settings
from open_speech.dispatch.frames import KeptModels, Question, RunnerStatus, UnloadModel
from runners.host.asleep import Asleep
from runners.host.own_service import AWAKE_SUFFIX
from runners.host.weights import Files
from runners.wiring.factories import registry, served_store


@pytest.fixture
def asleep(tones_settings: Settings, tmp_path: Path) -> Iterator[Asleep]:
    served = registry(tones_settings, {"tones-stt": "process"})
    yield Asleep(f"file://{tmp_path}/a%20runner.sock", Files(served, served_store(tones_settings, served)), "cpu")


def test_a_runner_sleeps_as_long_as_its_supervisor_says_nothing_else(asleep: Asleep, tmp_path: Path) -> None:
    marker = tmp_path / f"a runner.sock{AWAKE_SUFFIX}"
    assert asleep.is_asleep()
    marker.touch()
    assert not asleep.is_asleep()
    marker.unlink()
    assert asleep.is_asleep()


def test_its_status_is_that_of_a_runner_without_a_model(asleep: Asleep) -> None:
    status = asyncio.run(asleep.answer(RunnerStatus()))
    assert status["asleep"]
    assert status["version"] == __version__
    assert status["device"] == "cpu"
    assert (status["loaded"], status["in_flight"], status["progress"], status["memory_bytes"]) == ({}, {}, {}, 0)


def test_its_files_are_known_and_nothing_can_be_unloaded(asleep: Asleep) -> None:
    assert set(asyncio.run(asleep.answer(KeptModels()))) == {"tones/listen"}
    assert asyncio.run(asleep.answer(UnloadModel("tones/listen"))) is False


def test_another_question_is_a_mistake(asleep: Asleep) -> None:
    with pytest.raises(TypeError):
        asyncio.run(asleep.answer(cast("Question[Any]", object())))
