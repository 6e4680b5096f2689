from __future__ import annotations

import asyncio
from collections.abc import Iterator

import numpy as np
import pytest

from open_speech.audio import Audio, concat, silence
from open_speech.codecs import wav_bytes
from open_speech.config import Settings
from open_speech.engine import Engine
from open_speech.recognition.request import RecognitionRequest
from open_speech.recognition.resume import moved, skip_start
from open_speech.synthesis.plan import SynthesisRequest
from open_speech.transcript import Segment, Word
from runners.wiring.engine import local_engine


def blocks(*lengths: int) -> Iterator[Audio]:
    start = 0
    for length in lengths:
        yield Audio(np.arange(start, start + length, dtype=np.float32), 10)
        start += length


@pytest.mark.parametrize("start_s", [0.0, 0.3, 1.0, 1.5, 2.9])
def test_the_sound_from_a_moment_on_is_the_same_however_it_is_cut(start_s: float) -> None:
    whole = concat(list(blocks(30)), 10).samples[round(start_s * 10) :]
    for lengths in ((30,), (10, 10, 10), (1,) * 30, (29, 1)):
        rest = concat(list(skip_start(blocks(*lengths), start_s)), 10)
        assert np.array_equal(rest.samples, whole)


def test_nothing_is_left_behind_the_end() -> None:
    assert sum(len(block.samples) for block in skip_start(blocks(10, 10), 5.0)) == 0


def test_a_segment_moves_with_its_words() -> None:
    segment = Segment(1.0, 2.0, " Hello.", (Word(" Hello.", 1.1, 1.9),), seek=50)
    assert moved(segment, 10.0) == Segment(11.0, 12.0, " Hello.", (Word(" Hello.", 11.1, 11.9),), seek=1050)


def test_the_engine_hears_a_file_from_a_moment_on(tones_settings: Settings) -> None:
    engine = local_engine(tones_settings)

    async def heard() -> tuple[str, float]:
        first, second = await spoken(engine, "What came before."), await spoken(engine, "What comes now.")
        file = wav_bytes(concat([first, silence(1, first.rate), second], first.rate))
        start_s = first.seconds + 0.5
        listening = await engine.recognition.stream(file, RecognitionRequest("whisper-1", start_s=start_s))
        transcript = await listening.whole()
        assert transcript.info.duration == pytest.approx(second.seconds + 0.5, abs=0.01)
        return transcript.text, transcript.segments[0].start

    text, start = asyncio.run(heard())
    assert text == "What comes now."
    assert start == pytest.approx(0.5, abs=0.05)


async def spoken(engine: Engine, text: str) -> Audio:
    speech = await engine.synthesis.speak(SynthesisRequest("tts-1", text))
    return concat([piece async for piece in speech], speech.rate)
