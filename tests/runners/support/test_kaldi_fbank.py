"""Kaldi's mel features: against values of another implementation, against the definition, and at the edges."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from runners.support.kaldi_fbank import BINS, FRAME, RATE, SHIFT, centered, log_mel

KNOWN = Path(__file__).parents[2] / "data" / "kaldi_fbank.csv"
"""Features of `tune()` from kaldi-native-fbank 1.23.0 (num_bins=80, dither=0, povey, low_freq=20): a line for each frame.

The library of senko 0.2.2, built from its source without AVX-512, returns the same within 0.0006 on real speech, as does this module.
"""
SILENT = math.log(np.finfo(np.float32).eps)


def tune() -> NDArray[np.float32]:
    """Half a second: a rising tone over noise of a linear congruential generator, the same on every machine, with an offset."""
    at = np.arange(RATE // 2) / RATE
    number, noise = 1, []
    for _ in at:
        number = (1_103_515_245 * number + 12_345) % (1 << 31)
        noise.append(number / (1 << 31) - 0.5)
    return np.asarray(0.3 * np.sin(2 * np.pi * (200 + 3000 * at) * at) + 0.02 * np.array(noise) + 0.05, np.float32)


def test_the_features_are_those_of_kaldi_native_fbank() -> None:
    known = np.loadtxt(KNOWN, delimiter=",")
    found = log_mel(tune())
    assert found.shape == known.shape == (48, BINS)
    assert found.dtype == np.float32
    # That library computes in single precision.
    assert np.abs(found - known).max() < 0.002


def test_one_feature_is_the_sum_of_its_definition() -> None:
    """Step by step for one filter of the first frame, with a Fourier sum instead of an FFT."""
    frame = [float(sample) for sample in tune()[:FRAME]]
    mean = sum(frame) / FRAME
    frame = [sample - mean for sample in frame]
    sharp = [frame[n] - 0.97 * frame[max(0, n - 1)] for n in range(FRAME)]
    faded = [sample * (0.5 - 0.5 * math.cos(2 * math.pi * n / (FRAME - 1))) ** 0.85 for n, sample in enumerate(sharp)]

    def mel(hertz: float) -> float:
        return 1127 * math.log(1 + hertz / 700)

    step = (mel(8000) - mel(20)) / (BINS + 1)
    middle = mel(20) + 31 * step  # filter 30
    energy = 0.0
    for line in range(256):
        weight = 1 - abs(mel(line * RATE / 512) - middle) / step
        if weight > 0:
            real = sum(sample * math.cos(2 * math.pi * line * n / 512) for n, sample in enumerate(faded))
            imaginary = sum(sample * math.sin(2 * math.pi * line * n / 512) for n, sample in enumerate(faded))
            energy += weight * (real**2 + imaginary**2)
    assert abs(log_mel(tune())[0, 30] - math.log(energy)) < 1e-4


def test_a_tone_is_in_the_filter_of_its_frequency() -> None:
    at = np.arange(RATE) / RATE
    mels = 1127 * np.log1p(np.array([20.0, 8000.0]) / 700)
    for hertz in (300.0, 1000.0, 5000.0):
        loudest = log_mel(np.sin(2 * np.pi * hertz * at).astype(np.float32)).mean(axis=0).argmax()
        position = (1127 * math.log1p(hertz / 700) - mels[0]) / (mels[1] - mels[0]) * (BINS + 1) - 1
        assert abs(loudest - position) <= 1


def test_frames_are_whole_and_short_audio_is_one_frame() -> None:
    for samples, frames in ((FRAME, 1), (FRAME + SHIFT - 1, 1), (FRAME + SHIFT, 2), (RATE * 3 // 2, 148), (FRAME - 1, 1), (0, 1)):
        assert log_mel(np.zeros(samples, np.float32)).shape == (frames, BINS)


def test_silence_has_the_least_energy() -> None:
    assert np.allclose(log_mel(np.zeros(RATE, np.float32)), SILENT)


def test_an_offset_does_not_matter() -> None:
    assert np.abs(log_mel(tune() + np.float32(0.25)) - log_mel(tune())).max() < 0.01


def test_a_filter_on_the_microphone_is_removed_by_centering() -> None:
    features = log_mel(tune())
    assert np.allclose(centered(features).mean(axis=0), 0.0, atol=1e-4)
    assert np.allclose(centered(features + np.arange(BINS, dtype=np.float32)), centered(features), atol=1e-4)
