"""Hold peaks below full scale without a click: the gain is turned down before a peak comes, and up again after it. Pure."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from open_speech.audio import Audio

CEILING_DB = -1.0
"""Highest true peak: what lossy codecs and players' converters add stays below full scale."""
_REACH_S = 0.005
"""Seconds over which the gain moves, before a peak as after it."""
_BETWEEN = np.array([0.25, 0.5, 0.75])
"""Places between two samples at which the wave is looked at, as in BS.1770: it may be higher there than both."""
_TAPS = 12
"""Samples by which it is told how high: as many as BS.1770 takes. On speech that is within 0.03 dB of a long filter."""
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
            ready = ready * self._gain(sound)[self._gone : end]
        start = max(0, end - neighbours)
        self._sound, self._gone = sound[start:].copy(), end - start
        return Audio(ready, self._rate)

    def _gain(self, sound: NDArray[np.float32]) -> NDArray[np.float32]:
        """Tell a gain for each sample: nowhere more than its own peak allows, and never jumping; 1 where no peak is near."""
        gain = np.ones(len(sound), np.float32)
        places, peaks = _peaks(sound, self._ceiling * 10 ** (-_HIDDEN_DB / 20))
        high = peaks > self._ceiling
        places, peaks = places[high], peaks[high]
        room = 2 * self._reach
        # Speech has a peak or two that are too high in a piece, so the work is done around them and nowhere else.
        for group in _together(places, 2 * room):
            start = max(0, int(places[group][0]) - room)
            end = min(len(sound), int(places[group][-1]) + room + 1)
            needed = np.ones(end - start)
            needed[places[group] - start] = self._ceiling / peaks[group]
            # The mean of values that are each the lowest around cannot be above the lowest of them all.
            lowest = np.pad(_lowest_around(needed, self._reach), self._reach, mode="edge")
            gain[start:end] = _mean(_mean(lowest, self._reach + 1), self._reach + 1)
        return gain


def _peaks(sound: NDArray[np.float32], near: float) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Find the samples that are louder than `near`, or whose next one is; tell how high the wave goes from each to its next one."""
    loud = np.abs(sound) > near
    loud[:-1] |= loud[1:]
    places = np.flatnonzero(loud)
    # Row n of the view is centred between sample n and the next one.
    around = sliding_window_view(np.pad(sound, (_TAPS // 2 - 1, _TAPS // 2)), _TAPS)[places]
    return places, np.maximum(np.abs(sound[places]), np.abs(around @ _WAVE).max(axis=1))


def _interpolation() -> NDArray[np.float32]:
    """Make the weights of _TAPS samples for the wave at each place of _BETWEEN: a sinc under Hann's window, shape (_TAPS, 3)."""
    away = np.arange(_TAPS)[:, np.newaxis] - (_TAPS // 2 - 1) - _BETWEEN
    weights: NDArray[np.float64] = np.sinc(away) * np.cos(np.pi * away / (_TAPS + 1)) ** 2
    return np.asarray(weights / weights.sum(axis=0), np.float32)


_WAVE = _interpolation()


def _together(places: NDArray[np.int64], apart: int) -> Iterator[slice]:
    """Group ascending places: a new group begins where the next one is more than `apart` away."""
    starts = [0, *(np.flatnonzero(np.diff(places) > apart) + 1).tolist(), len(places)]
    return (slice(start, end) for start, end in zip(starts, starts[1:], strict=False) if start < end)


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
