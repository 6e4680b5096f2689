from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from open_speech.codecs.blocks import collect
from open_speech.codecs.decode import blocks
from open_speech.codecs.voicing import FRAME_S, voicing

DATA = Path(__file__).parent.parent / "data"
RATES = [8000, 16_000, 44_100, 48_000]


@pytest.mark.parametrize("rate", RATES)
def test_speech_has_a_pitch_at_every_rate(rate: int) -> None:
    for file in ("antiphase.mp3", "gap10.mp4", "dtx.webm", "late_audio.mkv"):
        speech = collect(blocks(DATA / file, rate, max_seconds=60, channel=0), rate)
        found = voicing(speech.samples, rate)
        assert found.seconds > 1.5
        assert found.speech_db > found.floor_db + 15


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("colour", [0.0, 0.5, 1.0])
def test_bursts_of_noise_have_none(rate: int, colour: float) -> None:
    count = rate * 30
    spectrum = np.fft.rfft(np.random.default_rng(3).normal(size=count))
    samples = np.fft.irfft(spectrum / np.maximum(np.fft.rfftfreq(count, 1 / rate), 20) ** colour, count)
    bursts = (0.1 * samples / samples.std() * (np.arange(count) // (rate // 4) % 3 == 0)).astype(np.float32)
    assert voicing(bursts, rate).seconds < 0.2


def test_what_is_steady_or_silent_does_not_stand_out() -> None:
    hum = (0.3 * np.sin(np.arange(160_000) * 2 * np.pi * 120 / 16_000)).astype(np.float32)
    for samples in (hum, np.zeros(160_000, np.float32), np.full(160_000, 0.5, np.float32), np.zeros(10, np.float32)):
        found = voicing(samples, 16_000)
        assert found.seconds == 0
        assert found.speech_db == -np.inf


def test_levels_are_in_decibels_below_full_scale() -> None:
    tone = np.sin(np.arange(16_000) * 2 * np.pi * 1000 / 16_000).astype(np.float32)
    assert voicing(tone, 16_000).level_db == pytest.approx(-3.0, abs=0.1)
    assert voicing(0.1 * tone, 16_000).floor_db == pytest.approx(-23.0, abs=0.1)
    assert len(voicing(tone, 16_000).level_db) == int(1 / FRAME_S)
