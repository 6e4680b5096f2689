from __future__ import annotations

import numpy as np
import pytest
import soxr
from numpy.typing import NDArray

from open_speech.audio import Audio, silence
from open_speech.synthesis.limiter import CEILING_DB, Limiter

RATE = 24_000
CEILING = 10 ** (CEILING_DB / 20)


def true_peak(samples: NDArray[np.float32]) -> float:
    return float(np.abs(soxr.resample(samples, RATE, 8 * RATE)).max())


def limited(samples: NDArray[np.float32], pieces: int = 1) -> NDArray[np.float32]:
    limiter = Limiter(RATE)
    parts = [limiter.feed(Audio(part, RATE)).samples for part in np.array_split(samples, pieces)]
    return np.concatenate([*parts, limiter.feed(silence(0, RATE), last=True).samples])


def wave(peak: float, hertz: float = 220.0, seconds: float = 1.0) -> NDArray[np.float32]:
    return (peak * np.sin(2 * np.pi * hertz * np.arange(round(seconds * RATE)) / RATE)).astype(np.float32)


def test_what_is_below_the_ceiling_comes_out_as_it_was() -> None:
    sound = wave(0.6)
    np.testing.assert_array_equal(limited(sound, 9), sound)


@pytest.mark.parametrize("peak", [0.95, 1.5, 4.0])
def test_no_true_peak_is_above_the_ceiling(peak: float) -> None:
    assert true_peak(limited(wave(peak))) <= CEILING * 1.01


def test_a_peak_between_two_samples_counts() -> None:
    # A quarter of the rate, 45 degrees off: every sample is 0.707 of the wave's own peak.
    hidden = (1.2 * np.sin(np.pi / 2 * np.arange(RATE) + np.pi / 4)).astype(np.float32)
    assert np.abs(hidden).max() < 0.87
    assert true_peak(hidden[2000:-2000]) > 1.15
    assert true_peak(limited(hidden)[2000:-2000]) <= CEILING * 1.02  # four times the rate sees such a wave to 0.17 dB


def test_a_peak_is_turned_down_without_a_jump_and_only_around_it() -> None:
    sound = wave(0.5)
    sound[12_000:12_050] *= 3
    gain = limited(sound) / np.where(sound == 0, 1, sound)
    heard = np.abs(sound) > 0.05
    assert gain[12_000:12_050].min() < 0.7
    assert gain[:11_700][heard[:11_700]] == pytest.approx(1)
    assert gain[12_400:][heard[12_400:]] == pytest.approx(1)
    assert np.abs(np.diff(gain[heard])).max() < 0.05


@pytest.mark.parametrize("pieces", [2, 7, 400])
def test_a_stream_in_pieces_is_the_stream_in_one(pieces: int) -> None:
    rng = np.random.default_rng(1)
    sound = (np.repeat(rng.uniform(0.2, 1.6, 10), RATE // 10) * wave(1.0)).astype(np.float32)
    np.testing.assert_allclose(limited(sound, pieces), limited(sound), atol=0.02)


def test_every_sample_comes_out_and_no_more_than_ten_milliseconds_wait() -> None:
    limiter = Limiter(RATE)
    first = limiter.feed(Audio(wave(2.0), RATE))
    assert RATE - len(first.samples) <= 0.0101 * RATE
    assert len(first.samples) + len(limiter.feed(silence(0, RATE), last=True).samples) == RATE
    assert len(Limiter(RATE).feed(silence(0, RATE), last=True).samples) == 0


def test_a_piece_of_another_rate_is_refused() -> None:
    with pytest.raises(ValueError, match="16000"):
        Limiter(RATE).feed(silence(1, 16000))
