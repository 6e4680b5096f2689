"""Measurement of the speech in a channel without a model: frames that are above the channel's noise and have a pitch. Pure.

The speech detector is a network that runs elsewhere, on one channel. This module compares the channels of a file before they are mixed,
for which two properties of speech are sufficient: its level rises and falls, and its vowels have a pitch. Steady noise and hum have no
dynamics; clicks and bursts of noise have no pitch.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.ma  # noqa: F401 - NumPy imports this (for quantiles) and the next at first use, when a confined process cannot
from numpy.fft import irfft, rfft
from numpy.typing import NDArray

FRAME_S = 0.064
"""Length of a frame in seconds: four periods of the lowest voice."""
STANDS_OUT_DB = 6.0
"""Level above the noise floor, in dB, from which a frame may be speech."""
QUIETEST_DB = -65.0
"""Level relative to full scale, in dB, below which nothing counts as speech."""
_BAND = 150.0, 3800.0
"""Frequency band in which the level is measured, in Hertz."""
_PITCH = 70.0, 400.0
"""Range of a voice's fundamental frequency, in Hertz."""
_PITCHED = 0.27
"""Height of the autocorrelation's peak above which a frame has a pitch. 99.9 % of frames of white, pink and brown noise are below 0.23;
half to nine tenths of the loud frames of 28 recordings of readers are above 0.27."""
_FLOOR_QUANTILE = 0.1
_SMALLEST = 1e-12


@dataclass(frozen=True, slots=True)
class Voicing:
    """Measurements of one section of one channel, one value for each frame of FRAME_S seconds."""

    level_db: NDArray[np.float32]
    """Shape (m,): level between 150 and 3800 Hz, in dB below full scale."""
    pitched: NDArray[np.bool_]
    """Shape (m,): whether the frame is above the noise and has a pitch."""

    @property
    def seconds(self) -> float:
        """Total length of the pitched frames."""
        return float(np.count_nonzero(self.pitched)) * FRAME_S

    @property
    def speech_db(self) -> float:
        """Level of the pitched frames (upper quartile) in dB; -inf if there is none."""
        return float(np.quantile(self.level_db[self.pitched], 0.75)) if self.pitched.any() else -np.inf

    @property
    def floor_db(self) -> float:
        """Level in dB below which a tenth of the frames are."""
        return float(np.quantile(self.level_db, _FLOOR_QUANTILE)) if len(self.level_db) else -120.0


def voicing(samples: NDArray[np.float32], rate: int) -> Voicing:
    """Measure one channel: `samples` of shape (n,) at `rate` Hertz."""
    size = round(FRAME_S * rate)
    count = len(samples) // size
    if not count:
        return Voicing(np.zeros(0, np.float32), np.zeros(0, np.bool_))
    window = np.hanning(size).astype(np.float32)
    padded = 1 << (size + round(rate / _PITCH[0])).bit_length()  # long enough that no period of a voice wraps around
    spectrum = rfft(samples[: count * size].reshape(count, size) * window, padded, axis=1)
    low, high = (min(round(edge / rate * padded), padded // 2) for edge in _BAND)
    power = np.square(np.abs(spectrum[:, low:high])).astype(np.float32)
    scale = 2.0 / (padded * float(np.square(window).sum()))
    level = 10 * np.log10(power.sum(axis=1) * scale + _SMALLEST)
    floor = float(np.quantile(level, _FLOOR_QUANTILE))
    loud = level > max(floor + STANDS_OUT_DB, QUIETEST_DB)
    pitched = np.zeros(count, np.bool_)
    if loud.any():
        pitched[loud] = _peak(power[loud], low, rate / padded) > _PITCHED
    return Voicing(level.astype(np.float32), pitched)


def _peak(power: NDArray[np.float32], low: int, step: float) -> NDArray[np.float32]:
    """Return the height, about in [0, 1], of the highest peak of each frame's autocorrelation at the periods of a voice.

    `power` has shape (m, bins), from bin `low` on, `step` Hertz apart. The spectrum is compressed, which removes the colour of noise.
    The autocorrelation is divided by that of the window, so that low voices count like high ones.
    """
    bins = low + power.shape[1]
    length = 1 << (2 * bins - 1).bit_length()
    rate = step * length
    flat = np.zeros((len(power), length // 2 + 1), np.float32)
    flat[:, low:bins] = np.sqrt(power)
    correlation = irfft(flat, length, axis=1)
    lags = np.arange(int(rate / _PITCH[1]), int(rate / _PITCH[0]) + 1)
    decline = _window_correlation(lags / rate / FRAME_S)
    peak: NDArray[np.float32] = (correlation[:, lags] / decline).max(axis=1) / np.maximum(correlation[:, 0], _SMALLEST)
    return peak


def _window_correlation(lag: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the autocorrelation of a Hann window of length 1 at `lag` in [0, 1), relative to lag 0."""
    angle = 2 * np.pi * lag
    correlation: NDArray[np.float64] = (1 - lag) * (2 + np.cos(angle)) / 3 + np.sin(angle) / (2 * np.pi)
    return correlation
