"""A live stream of real speech, cut again and again, with voice activity detection as users have it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from open_speech.audio import to_pcm16
from open_speech.client import OpenSpeechClient
from open_speech.codecs import decode
from open_speech.config import Settings
from open_speech.testing.words import ALLOWED_ERRORS, word_errors, words
from tests.client.conftest import Relay, relaying, serving
from tests.waiting import PATIENCE_S, eventually

pytestmark = pytest.mark.weights

RATE = 16_000
STEP = RATE // 5 * 2


def test_cuts_in_real_speech_lose_no_word_and_repeat_none(model_folder: Any, weights_root: Path, speech_clips: dict[str, Path]) -> None:
    model_folder("moonshine/tiny")
    pcm = to_pcm16(decode(speech_clips["two_cities"], RATE, max_seconds=60))
    settings = Settings(
        os_models_dir=weights_root, os_offline=True, stt_backends=("moonshine",), tts_backends=(), stt_model="moonshine/tiny"
    )
    with serving(settings) as address, relaying(address) as relay:
        whole = asyncio.run(transcribed(relay, pcm, cuts=()))
        # In the middle of speech, each time when something was final and something was not.
        cut = asyncio.run(transcribed(relay, pcm, cuts=(7.0, 15.5, 16.5, 28.0, 40.0)))
    assert len(words(texts(whole))) > 90
    # The words of a phrase vary with the batch that it is decoded in (Moonshine said one phrase twice, without a cut): times do not.
    assert np.array(spans(cut)) == pytest.approx(np.array(spans(whole)), abs=0.1)
    assert word_errors(texts(whole), texts(cut)) <= ALLOWED_ERRORS
    states = [event["state"] for event in cut if event["type"] == "vad"]
    assert states == ["speech_start", "speech_end"] * (len(states) // 2)
    times = [event["at"] for event in cut if event["type"] == "vad"]
    assert times == sorted(times)


def texts(events: list[dict[str, Any]]) -> str:
    return " ".join(event["text"] for event in events if event["type"] == "transcript" and event["is_final"])


def spans(events: list[dict[str, Any]]) -> list[tuple[float, float]]:
    """The start and the end of each final text."""
    finals = [event for event in events if event["type"] == "transcript" and event["is_final"] and event["text"]]
    return [(event["start"], event["end"]) for event in finals]


async def transcribed(relay: Relay, pcm: bytes, cuts: tuple[float, ...]) -> list[dict[str, Any]]:
    events: list[dict[str, Any]] = []
    before = relay.connections

    async def audio() -> AsyncIterator[bytes]:
        yield pcm[:STEP]
        waiting = list(cuts)
        for start in range(STEP, len(pcm), STEP):
            yield pcm[start : start + STEP]
            if waiting and start / (2 * RATE) >= waiting[0]:
                waiting.pop(0)
                await eventually(lambda: relay.open and events)
                await asyncio.sleep(0.3)  # the server receives what was sent
                relay.cut()

    async with asyncio.timeout(PATIENCE_S):
        async for event in OpenSpeechClient(relay.address).async_stream_transcribe(audio()):
            events.append(event)
    assert relay.connections == before + 1 + len(cuts)
    return events
