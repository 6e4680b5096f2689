"""The text of a pause: reported when it is ready, and never after speech has gone on."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from open_speech.audio import Audio
from open_speech.backends import TranscribeOptions
from open_speech.errors import BackendFailed
from open_speech.recognition.live.recognizer import LiveRecognizer, LiveRecognizers
from open_speech.recognition.live.utterance import Utterance
from open_speech.transcript import Transcript
from tests.waiting import PATIENCE_S, eventually

Say = Callable[..., Audio]


def run(recognizers: LiveRecognizers, test: Callable[[LiveRecognizer], Awaitable[Any]]) -> Any:
    async def whole() -> Any:
        async with asyncio.timeout(PATIENCE_S):
            return await test(await recognizers.recognizer("reader", TranscribeOptions()))

    return asyncio.run(whole())


async def fed(utterance: Utterance, audio: Audio, piece: int = 1600, pause_s: float = 0.002) -> None:
    """Feed sound as it comes over a wire."""
    for start in range(0, len(audio.samples), piece):
        utterance.feed(Audio(audio.samples[start : start + piece], 16_000))
        await asyncio.sleep(pause_s)


def test_the_text_of_a_pause_is_reported_when_it_is_ready_and_is_the_final_text(recognizers: LiveRecognizers, say: Say) -> None:
    early: list[str] = []
    deltas: list[str] = []

    async def test(recognizer: LiveRecognizer) -> Transcript:
        utterance = Utterance(recognizer, deltas.append, on_early=early.append)
        await fed(utterance, say(1, 2, 3, 4, 5, 0))
        assert early == []
        utterance.pause()
        await eventually(lambda: early)
        await fed(utterance, say(0))
        return await utterance.finish()

    transcript = run(recognizers, test)
    assert early == [transcript.text] == ["".join(deltas)] == ["w1 w2 w3 w4 w5"]


def test_the_text_of_a_pause_contains_the_windows_before_it(recognizers: LiveRecognizers, say: Say) -> None:
    early: list[str] = []

    async def test(recognizer: LiveRecognizer) -> Transcript:
        utterance = Utterance(recognizer, lambda _: None, on_early=early.append)
        for _ in range(3):
            await fed(utterance, say(1, 2, 3, 4, 5, 0))
        utterance.pause()
        await eventually(lambda: early)
        return await utterance.finish()

    assert early == [run(recognizers, test).text]


def test_the_text_of_a_pause_that_is_over_is_not_reported(recognizers: LiveRecognizers, reader: Any, say: Say) -> None:
    early: list[str] = []

    async def test(recognizer: LiveRecognizer) -> Transcript:
        utterance = Utterance(recognizer, on_early=early.append)
        await fed(utterance, say(1, 2, 0))
        utterance.pause()
        while not utterance._early:
            await asyncio.sleep(0)
        utterance.resume()
        await fed(utterance, say(3, 0))
        await eventually(lambda: reader.calls)
        await asyncio.sleep(0.05)
        assert early == []
        utterance.pause()
        await eventually(lambda: early)
        return await utterance.finish()

    assert early == [run(recognizers, test).text] == ["w1 w2 w3"]


def test_a_pass_that_fails_in_a_pause_is_reported_at_the_end_only(recognizers: LiveRecognizers, reader: Any, say: Say) -> None:
    early: list[str] = []

    async def test(recognizer: LiveRecognizer) -> None:
        utterance = Utterance(recognizer, on_early=early.append)
        await fed(utterance, say(1, 2, 0))
        reader.broken = True
        utterance.pause()
        await eventually(lambda: reader.calls)
        await asyncio.sleep(0.05)
        with pytest.raises(BackendFailed):
            await utterance.finish()

    run(recognizers, test)
    assert early == []


def test_a_cancelled_utterance_reports_no_text_of_its_pause(recognizers: LiveRecognizers, reader: Any, say: Say) -> None:
    early: list[str] = []

    async def test(recognizer: LiveRecognizer) -> None:
        utterance = Utterance(recognizer, on_early=early.append)
        await fed(utterance, say(1, 2, 0))
        utterance.pause()
        await asyncio.sleep(0)
        utterance.cancel()
        await asyncio.sleep(0.1)

    run(recognizers, test)
    assert early == []
