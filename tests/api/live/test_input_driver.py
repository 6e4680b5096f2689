"""The input of a Live session: audio in, turns out, with and without a turn detector."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from open_speech.api.live.effects import Hear, Report, SpeechResumed, SpeechStarted, SpeechStopped
from open_speech.api.live.input_driver import InputDriver
from open_speech.api.realtime.effects import AudioFormat
from open_speech.dispatch.client import RunnerClient
from open_speech.dispatch.pool import RunnerPool
from open_speech.recognition.live.turn_decider import TurnDecider
from open_speech.recognition.request import RecognitionDefaults
from open_speech.recognition.service import Recognition
from open_speech.recognition.vad import VAD_RATE
from open_speech.registry import Defaults, Registry
from tests.engines import EAR, MODELS, Runner
from tests.scripted_turns import ByLevel, LoudFrames, said
from tests.waiting import PATIENCE_S, eventually

PCM = AudioFormat(rate=VAD_RATE)
TALK = "....." + "#" * 10 + "." * 10 + "+" * 10 + "." * 10 + "+" * 5 + "." * 45
"""A turn that is complete, and one that is not, with a pause of a second in it and a long silence after it."""


def recognition(decider: TurnDecider | None) -> Recognition:
    registry = Registry([EAR], MODELS[1:], {"ear": "process"}, Defaults("ear/one", "", ""))
    pool = RunnerPool(registry, {"ear": RunnerClient("ear", Runner(), deadline_s=5)}, max_queue=8, patience_s=5)
    detector: Any = LoudFrames
    return Recognition(pool, RecognitionDefaults(60), detector=detector, turns=decider)


def turns(
    decider: TurnDecider | None, *, count: int, step: int = 1 << 24, muted: bool = False, resumed: list[int] | None = None
) -> list[tuple[type[Report], int]]:
    """Hear the talk in pieces of `step` bytes; return each start and end of a turn, and its tenths of a second.

    `resumed` receives after how many of them the user spoke again within a turn.
    """
    resumed = [] if resumed is None else resumed
    found: list[tuple[type[Report], int]] = []

    def report(made: Report) -> None:
        if isinstance(made, SpeechResumed):
            resumed.append(len(found))
            return
        assert isinstance(made, (SpeechStarted, SpeechStopped))
        found.append((type(made), round(made.at_ms / 100)))

    async def scene() -> None:
        driver = await InputDriver.open(recognition(decider), "ear/one", PCM, report)
        data = said(TALK)
        for start in range(0, len(data), step):
            driver.perform(Hear(data[start : start + step], muted))
            await asyncio.sleep(0)
        await eventually(lambda: len(found) >= count)
        await driver.aclose()

    asyncio.run(scene())
    return found


@pytest.mark.parametrize("step", [640, 6400, 1 << 24])
def test_a_turn_ends_when_it_is_complete_and_else_after_the_longest_silence(step: int) -> None:
    decider = TurnDecider("by-level", ByLevel, deadline_s=PATIENCE_S)
    resumed: list[int] = []
    found = turns(decider, count=4, step=step, resumed=resumed)
    assert resumed == [3]
    assert found == [(SpeechStarted, 2), (SpeechStopped, 15), (SpeechStarted, 22), (SpeechStopped, 50)]


def test_without_a_turn_detector_every_silence_of_half_a_second_ends_a_turn() -> None:
    first = [(SpeechStarted, 2), (SpeechStopped, 15), (SpeechStarted, 22), (SpeechStopped, 35)]
    expected = [*first, (SpeechStarted, 42), (SpeechStopped, 50)]
    assert turns(None, count=6) == expected
    assert turns(TurnDecider("slow", lambda: ByLevel(takes_s=0.5), deadline_s=0.05), count=6) == expected


def test_muted_audio_has_no_turns() -> None:
    assert turns(None, count=0, muted=True) == []
