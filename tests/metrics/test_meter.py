from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import numpy as np
import pytest

from open_speech import logs
from open_speech.audio import Audio
from open_speech.config import Settings
from open_speech.metrics.meter import Meter
from open_speech.text.steps import Pause, Say
from open_speech.transcript import Segment, TranscriptInfo
from runners.wiring.factories import registry

SPEAKS, LISTENS, GENERATES = "kokoro", "Systran/faster-whisper-base", "gemma-3-270m"


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def meter(clock: Clock) -> Meter:
    meter = Meter(clock)
    meter.learn(registry(Settings(), {"faster-whisper": "process", "kokoro": "process"}))
    return meter


def told(meter: Meter, name: str, **labels: str) -> float | None:
    return meter.figures.registry.get_sample_value(name, labels)


def segment(text: str) -> Segment:
    return Segment(0.0, 1.0, text)


def test_a_transcription_is_counted_when_it_ends_without_the_time_of_who_reads_it(meter: Meter, clock: Clock) -> None:
    async def items() -> AsyncGenerator[TranscriptInfo | Segment, None]:
        clock.now += 1
        yield TranscriptInfo("en", 1.0, 0.0)
        clock.now += 2
        yield segment("a")
        yield TranscriptInfo("en", 1.0, 10.0)

    async def slowly() -> list[Any]:
        seen = []
        async with aclosing(meter.transcribed(LISTENS, items())) as passed:
            async for item in passed:
                seen.append(item)
                clock.now += 100
                assert told(meter, "open_speech_audio_in_seconds_total", model=LISTENS) is None
        return seen

    assert len(asyncio.run(slowly())) == 3
    assert told(meter, "open_speech_audio_in_seconds_total", model=LISTENS) == 10
    assert told(meter, "open_speech_real_time_factor_sum", task="stt", model=LISTENS) == pytest.approx(0.3)


def test_a_transcription_that_fails_or_is_left_counts_for_nothing(meter: Meter) -> None:
    closed = []

    async def items() -> AsyncGenerator[TranscriptInfo | Segment, None]:
        try:
            yield TranscriptInfo("en", 1.0, 5.0)
            yield segment("a")
        finally:
            closed.append(True)

    async def leave() -> None:
        async with aclosing(meter.transcribed(LISTENS, items())) as passed:
            await anext(passed)

    asyncio.run(leave())
    assert closed == [True]
    assert told(meter, "open_speech_audio_in_seconds_total", model=LISTENS) is None


def test_speech_is_counted_as_it_is_made(meter: Meter, clock: Clock) -> None:
    async def sound() -> AsyncGenerator[Audio, None]:
        for wait_s in (0.2, 0.8):
            clock.now += wait_s
            yield Audio(np.zeros(24_000, np.float32), 24_000)

    async def hear() -> None:
        async for _ in meter.spoken(SPEAKS, sound()):
            clock.now += 50
        assert told(meter, "open_speech_audio_out_seconds_total", model=SPEAKS) == 2

    asyncio.run(hear())
    assert told(meter, "open_speech_first_sound_seconds_sum", model=SPEAKS) == pytest.approx(0.2)
    assert told(meter, "open_speech_first_sound_seconds_count", model=SPEAKS) == 1
    assert told(meter, "open_speech_real_time_factor_sum", task="tts", model=SPEAKS) == pytest.approx(0.5)


def chunk_of(**delta: str) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": delta}]}


def test_tokens_are_counted_with_the_time_to_the_first_and_the_rate_of_the_others(meter: Meter, clock: Clock) -> None:
    usage = {"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 5}}
    waits = [(0.1, chunk_of(role="assistant")), (0.4, chunk_of(content="a")), (2.0, chunk_of(content="b")), (0.0, usage)]

    async def chunks() -> AsyncGenerator[dict[str, Any], None]:
        for wait_s, chunk in waits:
            clock.now += wait_s
            yield chunk

    async def read() -> None:
        async for _ in meter.generated(GENERATES, chunks()):
            clock.now += 50

    asyncio.run(read())
    assert told(meter, "open_speech_llm_tokens_in_total", model=GENERATES) == 7
    assert told(meter, "open_speech_llm_tokens_out_total", model=GENERATES) == 5
    assert told(meter, "open_speech_llm_first_token_seconds_sum", model=GENERATES) == pytest.approx(0.5)
    assert told(meter, "open_speech_llm_tokens_per_second_sum", model=GENERATES) == pytest.approx(4 / 2.0)


def test_the_tokens_of_an_answer_that_is_left_are_its_chunks(meter: Meter) -> None:
    closed = []

    async def chunks() -> AsyncGenerator[dict[str, Any], None]:
        try:
            while True:
                yield chunk_of(content="a")
        finally:
            closed.append(True)

    async def leave() -> None:
        async with aclosing(meter.generated(GENERATES, chunks())) as passed:
            for _ in range(3):
                await anext(passed)

    asyncio.run(leave())
    assert closed == [True]
    assert told(meter, "open_speech_llm_tokens_out_total", model=GENERATES) == 3
    assert told(meter, "open_speech_llm_tokens_per_second_count", model=GENERATES) is None


def test_characters_are_those_of_the_text_and_not_of_its_tags(meter: Meter) -> None:
    async def steps() -> AsyncGenerator[Say | Pause, None]:
        yield Say("Hello")
        yield Pause(1.0)
        yield Say("you")

    async def read() -> None:
        assert len([step async for step in meter.read(SPEAKS, steps())]) == 3

    asyncio.run(read())
    assert told(meter, "open_speech_characters_total", model=SPEAKS) == 8


def test_a_session_is_open_as_long_as_it_is(meter: Meter, clock: Clock) -> None:
    with pytest.raises(RuntimeError), meter.session("realtime"):
        assert told(meter, "open_speech_sessions", door="realtime") == 1
        clock.now += 30
        raise RuntimeError
    assert told(meter, "open_speech_sessions", door="realtime") == 0
    assert told(meter, "open_speech_session_duration_seconds_sum", door="realtime") == 30


def test_a_live_pass_that_fails_says_nothing_of_the_pace(meter: Meter, clock: Clock) -> None:
    with meter.working("stt", LISTENS, 4.0):
        clock.now += 1
    with pytest.raises(RuntimeError), meter.working("stt", LISTENS, 4.0):
        raise RuntimeError
    with meter.working("stt", LISTENS, 0.0):
        clock.now += 1
    assert told(meter, "open_speech_real_time_factor_count", task="stt", model=LISTENS) == 1
    assert told(meter, "open_speech_real_time_factor_sum", task="stt", model=LISTENS) == 0.25


def test_an_unlisted_model_is_counted_as_another_and_named_in_the_log(meter: Meter) -> None:
    with logs.on(logs.RequestContext("req_1")) as context, meter.working("stt", "somebody/model", 1.0):
        pass
    meter.heard("somebody/model", 3.0)
    assert told(meter, "open_speech_audio_in_seconds_total", model="other") == 3
    assert context.model == "somebody/model"


def test_an_answer_without_a_body_has_no_first_byte(meter: Meter) -> None:
    meter.answered("openai", "/v1/models", "HEAD", 200, took_s=0.5, first_byte_s=None)
    meter.answered("openai", "/v1/models", "GET", 200, took_s=0.5, first_byte_s=0.1)
    assert told(meter, "open_speech_http_first_byte_seconds_count", door="openai", route="/v1/models") == 1
    assert told(meter, "open_speech_http_request_duration_seconds_count", door="openai", route="/v1/models") == 2
