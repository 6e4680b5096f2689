"""Sound that is no speech, through the whole way of a file on real weights: empty text, never a phantom sentence."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import numpy as np
import pytest

from open_speech import config
from open_speech.audio import Audio
from open_speech.backends import STT_RATE, TranscribeOptions
from open_speech.codecs import wav_bytes
from open_speech.engine import Engine
from open_speech.recognition.request import RecognitionRequest
from runners.wiring.engine import local_engine

pytestmark = pytest.mark.weights

SECONDS = 8
TIME = np.arange(STT_RATE * SECONDS) / STT_RATE
Sound = np.ndarray[tuple[int], np.dtype[np.float64]]


def noise(level: float) -> Sound:
    return np.random.default_rng(0).normal(0, level, len(TIME))


def chord(*hertz: float) -> Sound:
    return np.sum([np.sin(2 * np.pi * pitch * TIME) for pitch in hertz], axis=0) / len(hertz)


def music() -> Sound:
    beat = 0.5 + 0.5 * np.sign(np.sin(4 * np.pi * TIME))
    return np.where(TIME % 4 < 2, chord(261, 329, 392), chord(220, 277, 329)) * beat * 0.4


def laughter() -> Sound:
    voice = np.sum([np.sin(2 * np.pi * 220 * k * TIME) / k for k in range(1, 12)], axis=0)
    return np.where(np.sin(9 * np.pi * TIME) > 0.2, voice * 0.15 + noise(0.05), 0.0)


SOUNDS: dict[str, Callable[[], Sound]] = {
    "silence": lambda: np.zeros(len(TIME)),
    "hiss": lambda: noise(0.05),
    "loud noise": lambda: noise(0.4),
    "hum": lambda: np.sin(100 * np.pi * TIME) * 0.2,
    "clicks": lambda: (np.random.default_rng(1).random(len(TIME)) > 0.9995) * 0.8,
    "music": music,
    "laughter": laughter,
}


@pytest.fixture(scope="module")
def engine(default_weights: None) -> Engine:
    return local_engine(config.load({"OS_OFFLINE": "true", "TTS_ENABLED": "false"}))


@pytest.mark.parametrize("name", SOUNDS)
@pytest.mark.parametrize("language", ["en", None])
def test_where_nobody_speaks_there_is_no_text(engine: Engine, name: str, language: str | None) -> None:
    upload = wav_bytes(Audio(SOUNDS[name]().astype(np.float32), STT_RATE))
    transcript = asyncio.run(engine.recognition.transcribe(upload, RecognitionRequest("whisper-1", TranscribeOptions(language=language))))
    assert transcript.text == ""
    assert transcript.info.duration == pytest.approx(SECONDS, abs=0.1)
