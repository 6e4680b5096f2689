"""Semantic turns of a Realtime session: audio in, turns out, with turn detectors that answer, are slow, or fail."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from open_speech.api.realtime.effects import (
    AppendAudio,
    AudioFormat,
    Clear,
    ConfigureInput,
    Report,
    SpeechStarted,
    SpeechStopped,
    TurnRules,
)
from open_speech.api.realtime.input_driver import InputDriver, InputEffect
from open_speech.dispatch.client import RunnerClient
from open_speech.dispatch.pool import RunnerPool
from open_speech.recognition.live.turn_decider import TurnDecider, TurnDetector
from open_speech.recognition.request import RecognitionDefaults
from open_speech.recognition.service import Recognition
from open_speech.recognition.vad import VAD_RATE
from open_speech.registry import Defaults, Registry
from tests.engines import EAR, MODELS, Runner
from tests.scripted_turns import ByLevel, LoudFrames, said
from tests.waiting import PATIENCE_S

PCM = AudioFormat(rate=VAD_RATE)
SEMANTIC = TurnRules(silence_duration_ms=700, longest_silence_ms=4000)


def recognition(decider: TurnDecider | None) -> Recognition:
    registry = Registry([EAR], MODELS[1:], {"ear": "process"}, Defaults("ear/one", "", ""))
    pool = RunnerPool(registry, {"ear": RunnerClient("ear", Runner(), deadline_s=5)}, max_queue=8, patience_s=5)
    detector: Any = LoudFrames
    return Recognition(pool, RecognitionDefaults(60), detector=detector, turns=decider)


def reported(script: Callable[[InputDriver], Awaitable[None]], decider: TurnDecider | None) -> list[Report]:
    async def scene() -> list[Report]:
        reports: list[Report] = []

        def report(made: Report) -> list[InputEffect]:
            reports.append(made)
            return []

        driver = InputDriver(recognition(decider), "ear/one", report)
        running = asyncio.create_task(driver.run())
        try:
            await asyncio.wait_for(script(driver), PATIENCE_S)
            await asyncio.wait_for(driver.settled(), PATIENCE_S)
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
        return reports

    return asyncio.run(scene())


def turns(
    pattern: str, decider: TurnDecider | None, *, step: int = 1 << 24, rules: TurnRules = SEMANTIC
) -> list[tuple[type[Report], float]]:
    """Append the audio in pieces of `step` bytes; return each start and end of a turn, and its tenths of a second."""

    async def script(driver: InputDriver) -> None:
        driver.put(ConfigureInput(PCM, rules))
        data = said(pattern)
        for start in range(0, len(data), step):
            driver.put(AppendAudio(data[start : start + step]))
            await driver.settled()

    return _turns(reported(script, decider))


def _turns(reports: list[Report]) -> list[tuple[type[Report], float]]:
    return [(type(made), round(made.at_ms / 100)) for made in reports if isinstance(made, (SpeechStarted, SpeechStopped))]


def by_level(**how: Any) -> tuple[TurnDecider, ByLevel]:
    detector = ByLevel(**how)
    return TurnDecider("by-level", lambda: detector, deadline_s=0.1 if "takes_s" in how else PATIENCE_S), detector


TALK = "....." + "#" * 10 + "." * 4 + "#" * 5 + "+" * 5 + "." * 15 + "+" * 5 + "#" * 5 + "." * 10 + "+" * 10 + "." * 45


def test_complete_turns_end_at_the_pause_and_others_wait_for_more_or_for_the_longest_silence() -> None:
    decider, detector = by_level()
    found = turns(TALK, decider)
    assert [at for kind, at in found if kind is SpeechStopped] == [15, 54, 74]
    assert detector.asked == 4


@pytest.mark.parametrize("step", [642, 1000, 9600])
def test_the_turns_are_the_same_however_the_audio_arrives(step: int) -> None:
    assert turns(TALK, by_level()[0], step=step) == turns(TALK, by_level()[0])


def test_the_longest_silence_is_counted_from_the_end_of_speech() -> None:
    assert turns("....." + "+" * 10 + "." * 39, by_level()[0])[-1] == (SpeechStarted, 2)
    assert turns("....." + "+" * 10 + "." * 41, by_level()[0])[-1] == (SpeechStopped, 15)


def test_without_a_detector_turns_end_as_those_of_a_timer() -> None:
    timer = TurnRules(silence_duration_ms=700)
    for decider in (None, TurnDecider()):
        assert turns(TALK, decider) == turns(TALK, None, rules=timer)


def test_server_vad_never_asks() -> None:
    decider, detector = by_level()
    assert turns(TALK, decider, rules=TurnRules()) == turns(TALK, None, rules=TurnRules())
    assert detector.asked == 0


@pytest.mark.parametrize("how", [{"takes_s": 0.5}, {"fails": True}], ids=str)
def test_the_timer_takes_over_from_a_detector_that_is_slow_or_fails(how: dict[str, Any]) -> None:
    assert turns(TALK, by_level(**how)[0]) == turns(TALK, None, rules=TurnRules(silence_duration_ms=700))


def test_one_that_cannot_be_opened_leaves_the_turns_to_the_timer() -> None:
    def missing() -> TurnDetector:
        raise FileNotFoundError("smart-turn-v3.2-cpu.onnx")

    assert turns(TALK, TurnDecider("missing", missing)) == turns(TALK, None, rules=TurnRules(silence_duration_ms=700))


def test_a_clear_behind_a_question_drops_the_turn_that_is_in_progress_then() -> None:
    decider, detector = by_level()

    async def script(driver: InputDriver) -> None:
        driver.put(ConfigureInput(PCM, SEMANTIC), AppendAudio(said("....." + "+" * 10 + "." * 5)), Clear(), AppendAudio(said("." * 60)))
        driver.put(AppendAudio(said("#" * 5 + "." * 5)))

    # The session knows that the first turn was cleared.
    assert _turns(reported(script, decider)) == [(SpeechStarted, 2), (SpeechStarted, 77), (SpeechStopped, 85)]
    assert detector.asked == 2


@pytest.mark.parametrize(("before", "after", "stopped"), [(TurnRules(), SEMANTIC, 15), (SEMANTIC, TurnRules(), 15)])
def test_other_rules_in_the_middle_of_a_turn_end_that_turn(before: TurnRules, after: TurnRules, stopped: int) -> None:
    async def script(driver: InputDriver) -> None:
        driver.put(ConfigureInput(PCM, before), AppendAudio(said("....." + "+" * 8)))
        driver.put(ConfigureInput(PCM, after), AppendAudio(said("+" * 2 + "." * 50)))

    assert _turns(reported(script, by_level()[0])) == [(SpeechStarted, 2), (SpeechStopped, stopped)]


def test_rules_that_change_after_an_answer_count_from_then_on() -> None:
    """The turn is not complete and would wait for 4 s; the new rules end it as soon as there is audio."""

    async def script(driver: InputDriver) -> None:
        driver.put(ConfigureInput(PCM, SEMANTIC), AppendAudio(said("....." + "+" * 10 + "." * 10)))
        driver.put(ConfigureInput(PCM, TurnRules()), AppendAudio(said(".")))

    assert _turns(reported(script, by_level()[0])) == [(SpeechStarted, 2), (SpeechStopped, 15)]


def test_a_session_that_ends_in_the_middle_of_a_question_ends_at_once() -> None:
    decider = TurnDecider("slow", lambda: ByLevel(takes_s=PATIENCE_S), deadline_s=PATIENCE_S)

    async def scene() -> None:
        driver = InputDriver(recognition(decider), "ear/one", lambda report: [])
        running = asyncio.create_task(driver.run())
        driver.put(ConfigureInput(PCM, SEMANTIC), AppendAudio(said("....." + "#" * 10 + "." * 10)))
        await asyncio.sleep(0.1)
        running.cancel()
        async with asyncio.timeout(PATIENCE_S / 4):
            await asyncio.gather(running, return_exceptions=True)

    asyncio.run(scene())
