"""Semantic turns of a Wyoming connection: when a client learns that its user has finished."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import pytest
from wyoming.asr import Transcribe

from open_speech.api.wyoming.effects import Delta, VoiceActivity
from open_speech.api.wyoming.info import Offer
from open_speech.api.wyoming.service import Rules, Service, eagerness
from open_speech.audio import Audio, from_pcm16
from open_speech.dispatch.client import RunnerClient
from open_speech.recognition.live.recognizer import SessionRecognizer
from open_speech.recognition.live.turn_decider import TurnDecider
from open_speech.recognition.vad import VAD_RATE
from open_speech.registry import Defaults, Registry
from tests.engines import EAR, MODELS, Runner, engine_over
from tests.scripted_turns import ByLevel, LoudFrames, said
from tests.waiting import PATIENCE_S

TALK = "....." + "#" * 10 + "." * 4 + "#" * 5 + "+" * 5 + "." * 15 + "+" * 5 + "#" * 5 + "." * 10 + "+" * 10 + "." * 45


def transcribed(pattern: str, *, semantic: bool, sensitivity: str | None = None) -> tuple[list[float], list[float]]:
    """Send audio; return the end of each turn in tenths of a second, and how many seconds the recognizer got."""
    runner = Runner()
    registry = Registry([EAR], MODELS[1:], {"ear": "process"}, Defaults("ear/one", "", ""))
    detector: Any = LoudFrames
    decider = TurnDecider("by-level", ByLevel, deadline_s=PATIENCE_S)
    engine = engine_over(registry, {"ear": RunnerClient("ear", runner, deadline_s=5)}, detector=detector, turns=decider)
    offer = Offer(engine.voices, is_here=lambda entry: True, streams=lambda entry: True)
    service = Service(engine, offer, Rules(idle_s=30, longest_s=60, vad_threshold=0.5, semantic=semantic))

    async def scene() -> list[float]:
        reports: list[VoiceActivity | Delta] = []
        recognizers = SessionRecognizer(engine.recognition.recognizer)
        request = Transcribe(name="ear/one", vad_sensitivity=sensitivity)
        transcription = await service.transcription(request, reports.append, recognizers)
        await transcription.feed(Audio(from_pcm16(said(pattern), VAD_RATE).samples, VAD_RATE))
        await transcription.finish()
        return [round(made.at_s * 10) for made in reports if isinstance(made, VoiceActivity) and not made.is_start]

    return asyncio.run(asyncio.wait_for(scene(), PATIENCE_S)), runner.heard_s


def test_a_client_learns_at_the_pause_that_its_user_has_finished() -> None:
    assert transcribed(TALK, semantic=True)[0] == [15, 54, 74]
    assert transcribed(TALK, semantic=False)[0] == [29, 54, 74]


@pytest.mark.parametrize(("sensitivity", "silence"), [("aggressive", 20), ("default", 40), (None, 40), ("relaxed", 80)])
def test_the_sensitivity_is_the_eagerness(sensitivity: str | None, silence: int) -> None:
    assert transcribed("....." + "+" * 10 + "." * (silence - 1), semantic=True, sensitivity=sensitivity)[0] == []
    assert transcribed("....." + "+" * 10 + "." * (silence + 1), semantic=True, sensitivity=sensitivity)[0] == [15]
    assert eagerness(Transcribe(vad_sensitivity="unheard of")) == "auto"


def test_the_silence_that_a_turn_waits_is_not_recognized() -> None:
    """A recognizer that takes all audio might find words in it. The speech after the silence is."""
    pattern = "....." + "+" * 10 + "." * 30 + "+" * 10 + "#" + "." * 10
    ends, seconds = transcribed(pattern, semantic=True)
    assert ends == [56]
    assert np.max(seconds) == pytest.approx(0.3 + 1.0 + 0.22 + 0.3 + 1.1 + 0.25, abs=0.15)
