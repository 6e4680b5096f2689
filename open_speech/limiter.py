"""Hold peaks below full scale without a click: the gain is turned down before a peak comes, and up again after it. Pure."""

from __future__ import annotations

import numpy as np
import soxr
from numpy.typing import NDArray

from open_speech.audio import Audio

CEILING_DB = -1.0
"""Highest true peak: what lossy codecs and players' converters add stays below full scale."""
_REACH_S = 0.005
"""Seconds over which the gain moves, before a peak as after it."""
_OVERSAMPLING = 4
"""BS.1770's factor: the wave between two samples may be higher than both."""
_HIDDEN_DB = 3.0
"""A wave is looked at more closely if a sample comes this near to the ceiling."""


class Limiter:
    """Limit a mono stream piece by piece; every sample that is given comes out, the last 10 ms with the next piece."""

    def __init__(self, rate: int, ceiling_db: float = CEILING_DB) -> None:
        """Limit pieces at `rate` Hertz to true peaks of `ceiling_db` dBFS."""
        self._rate = rate
        self._ceiling = 10 ** (ceiling_db / 20)
        self._reach = max(1, round(_REACH_S * rate))
        self._sound = np.zeros(0, np.float32)
        """What has gone out lately, then what waits: the gain of a sample follows from its neighbours on both sides."""
        self._gone = 0

    def feed(self, audio: Audio, *, last: bool = False) -> Audio:
        """Give the next piece, get what is ready; with `last` the rest comes out too.

        Raises ValueError if the piece has another rate than the stream.
        """
        if audio.rate != self._rate:
            raise ValueError(f"stream is at {self._rate} Hz, piece at {audio.rate} Hz")
        sound = np.concatenate([self._sound, audio.samples])
        neighbours = 2 * self._reach
        end = len(sound) if last else max(self._gone, len(sound) - neighbours)
        ready = sound[self._gone : end]
        if max(sound.max(initial=0.0), -sound.min(initial=0.0)) > self._ceiling * 10 ** (-_HIDDEN_DB / 20):
            peaks = _true_peaks(sound, self._rate)
            if peaks.max() > self._ceiling:
                ready = (ready * self._gain(peaks)[self._gone : end]).astype(np.float32)
        start = max(0, end - neighbours)
        self._sound, self._gone = sound[start:].copy(), end - start
        return Audio(ready, self._rate)

    def _gain(self, peaks: NDArray[np.float32]) -> NDArray[np.float64]:
        """Tell a gain for each sample by the peaks: nowhere more than its own peak allows, and never jumping."""
        needed = np.minimum(1.0, self._ceiling / np.maximum(peaks, self._ceiling))
        # The mean of values that are each the lowest around cannot be above the lowest of them all.
        lowest = _lowest_around(needed, self._reach)
        return _mean(_mean(np.pad(lowest, self._reach, mode="edge"), self._reach + 1), self._reach + 1)


def _true_peaks(sound: NDArray[np.float32], rate: int) -> NDArray[np.float32]:
    """Tell, for each sample, how high the wave goes from it to the next one."""
    fine = np.abs(soxr.resample(sound, rate, rate * _OVERSAMPLING))[: len(sound) * _OVERSAMPLING]
    fine = np.pad(fine, (0, len(sound) * _OVERSAMPLING - len(fine)))
    peaks = np.abs(sound)
    for phase in range(_OVERSAMPLING):  # a maximum over the short axis takes three times as long
        np.maximum(peaks, fine[phase::_OVERSAMPLING], out=peaks)
    return peaks


def _lowest_around(values: NDArray[np.float64], reach: int) -> NDArray[np.float64]:
    """Replace each value by the lowest of it and `reach` neighbours on either side."""
    lowest = np.pad(values, reach, constant_values=1.0)
    width, wanted = 1, 2 * reach + 1
    while width < wanted:
        step = min(width, wanted - width)
        lowest = np.minimum(lowest[:-step], lowest[step:])
        width += step
    return lowest


def _mean(values: NDArray[np.float64], width: int) -> NDArray[np.float64]:
    """Replace values by the means of `width` neighbours; the result is `width` - 1 shorter."""
    sums = np.cumsum(np.insert(values, 0, 0.0))
    return (sums[width:] - sums[:-width]) / width
