"""Concealment of lost packets, on decoded audio. Pure.

Opus has a concealment of its own (opus_library.py). This one is for G.711, and for Opus where its library is not found: the last pitch
period is repeated, and faded out within FADE_S, as in Appendix I of G.711. A longer gap is silence. The audio therefore keeps its time
line, and a gap contains no clicks that a recognizer could take for speech.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from open_speech.webrtc.frames import RATE

Samples = NDArray[np.float32]

FADE_S = 0.06
"""Seconds within which the repeated audio fades out."""
LOWEST_HZ, HIGHEST_HZ = 70, 400
"""The pitch of voices."""
ESTIMATE_RATE = 8000
"""Hertz at which the period is estimated: that is exact enough, and takes 0.1 ms."""
BLEND_S = 0.0025
"""Seconds within which audio after a gap fades in."""


class Concealer:
    """Fills gaps in one stream."""

    def __init__(self, rate: int = RATE) -> None:
        """`rate` is in Hertz."""
        self._rate = rate
        self._longest = rate // LOWEST_HZ
        """The longest pitch period, in samples."""
        self._past = np.zeros(0, np.float32)
        self._is_gap = False

    def heard(self, samples: Samples) -> Samples:
        """Return received audio, blended into the filling before it."""
        if self._is_gap and len(samples):
            count = min(round(BLEND_S * self._rate), len(samples))
            samples = samples.copy()
            samples[:count] *= np.linspace(0, 1, count, dtype=np.float32)
        self._is_gap = False
        self._past = np.concatenate([self._past, samples])[-3 * self._longest :]
        return samples

    def gap(self, count: int) -> Samples:
        """Return `count` samples for a gap."""
        filled = np.zeros(count, np.float32)
        if not self._is_gap and len(self._past) >= 2 * self._longest:
            period = _period(self._past, self._rate)
            fade = round(FADE_S * self._rate)
            repeated = min(count, fade)
            faded = np.linspace(1, 0, fade, dtype=np.float32)[:repeated]
            filled[:repeated] = np.resize(self._past[-period:], repeated) * faded
        self._is_gap = self._is_gap or count > 0
        self._past = np.zeros(0, np.float32)
        return filled


def _period(past: Samples, rate: int) -> int:
    """Estimate the pitch period at the end of audio, in samples: the shift at which it resembles itself most."""
    step = max(1, rate // ESTIMATE_RATE)
    signal = past[::-step][::-1]  # the last sample is among them
    longest, shortest = rate // step // LOWEST_HZ, rate // step // HIGHEST_HZ
    template = signal[-longest:]
    windows = np.lib.stride_tricks.sliding_window_view(signal[: len(signal) - shortest], longest)
    energy = np.sqrt((windows * windows).sum(1)) + 1e-6
    best = int(np.argmax((windows @ template) / energy))
    return (len(signal) - longest - best) * step
