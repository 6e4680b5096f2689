"""A look-ahead limiter: it lowers the gain before a peak and raises it after, so that peaks stay below full scale without clicks. Pure."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from open_speech.audio import Audio

CEILING_DB = -1.0
"""Maximum true peak in dBFS: leaves headroom for what lossy codecs and the converters of players add."""
_REACH_S = 0.005
"""Seconds over which the gain changes, before and after a peak."""
_OFFSETS = np.array([0.25, 0.5, 0.75])
"""Positions between two samples at which the signal is interpolated, as in BS.1770: it may be higher there than at both samples."""
_TAPS = 12
"""Samples used for the interpolation, as in BS.1770. On speech the result is within 0.03 dB of a long filter."""
_NEAR_DB = 3.0
"""The signal is interpolated only where a sample is within this many dB of the ceiling."""


class Limiter:
    """Limits a mono stream piece by piece. The output has as many samples as the input; the last 10 ms follow with the next piece."""

    def __init__(self, rate: int, ceiling_db: float = CEILING_DB) -> None:
        """Limit pieces at `rate` Hertz to true peaks of `ceiling_db` dBFS."""
        self._rate = rate
        self._ceiling = 10 ** (ceiling_db / 20)
        self._reach = max(1, round(_REACH_S * rate))
        self._samples = np.zeros(0, np.float32)
        """The last samples that were returned, then those that wait: the gain of a sample depends on its neighbours on both sides."""
        self._returned = 0
        """Number of samples at the start of `_samples` that were returned."""

    def feed(self, audio: Audio, *, last: bool = False) -> Audio:
        """Take the next piece; return the samples that are ready, with `last` all the rest.

        Raises ValueError if the rate of the piece is not that of the stream.
        """
        if audio.rate != self._rate:
            raise ValueError(f"stream is at {self._rate} Hz, piece at {audio.rate} Hz")
        samples = np.concatenate([self._samples, audio.samples])
        neighbours = 2 * self._reach
        end = len(samples) if last else max(self._returned, len(samples) - neighbours)
        ready = samples[self._returned : end]
        if max(samples.max(initial=0.0), -samples.min(initial=0.0)) > self._ceiling * 10 ** (-_NEAR_DB / 20):
            ready = ready * self._gain(samples)[self._returned : end]
        start = max(0, end - neighbours)
        self._samples, self._returned = samples[start:].copy(), end - start
        return Audio(ready, self._rate)

    def _gain(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return a gain for each sample: never more than its own peak allows, without jumps, and 1 where no peak is near."""
        gain = np.ones(len(samples), np.float32)
        places, peaks = _peaks(samples, self._ceiling * 10 ** (-_NEAR_DB / 20))
        high = peaks > self._ceiling
        places, peaks = places[high], peaks[high]
        room = 2 * self._reach
        # A piece of speech has one or two peaks that are too high, so only the samples around them are processed.
        for group in _groups(places, 2 * room):
            start = max(0, int(places[group][0]) - room)
            end = min(len(samples), int(places[group][-1]) + room + 1)
            needed = np.ones(end - start)
            needed[places[group] - start] = self._ceiling / peaks[group]
            # Each averaged minimum covers the sample itself, so the mean cannot exceed the gain that the sample allows.
            lowest = np.pad(_lowest_around(needed, self._reach), self._reach, mode="edge")
            gain[start:end] = _mean(_mean(lowest, self._reach + 1), self._reach + 1)
        return gain


def _peaks(samples: NDArray[np.float32], near: float) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return the positions of samples that are louder than `near`, or whose next sample is, and the peak between each and its next one."""
    loud = np.abs(samples) > near
    loud[:-1] |= loud[1:]
    places = np.flatnonzero(loud)
    # Row n of the view is centred between sample n and the next one.
    around = sliding_window_view(np.pad(samples, (_TAPS // 2 - 1, _TAPS // 2)), _TAPS)[places]
    return places, np.maximum(np.abs(samples[places]), np.abs(around @ _WAVE).max(axis=1))


def _interpolation() -> NDArray[np.float32]:
    """Return the weights of _TAPS samples for the signal at each position of _OFFSETS: a Hann-windowed sinc, shape (_TAPS, 3)."""
    away = np.arange(_TAPS)[:, np.newaxis] - (_TAPS // 2 - 1) - _OFFSETS
    weights: NDArray[np.float64] = np.sinc(away) * np.cos(np.pi * away / (_TAPS + 1)) ** 2
    return np.asarray(weights / weights.sum(axis=0), np.float32)


_WAVE = _interpolation()


def _groups(places: NDArray[np.int64], gap: int) -> Iterator[slice]:
    """Group ascending positions: a new group begins after a distance of more than `gap`."""
    starts = [0, *(np.flatnonzero(np.diff(places) > gap) + 1).tolist(), len(places)]
    return (slice(start, end) for start, end in zip(starts, starts[1:], strict=False) if start < end)


def _lowest_around(values: NDArray[np.float64], reach: int) -> NDArray[np.float64]:
    """Replace each value by the minimum of it and `reach` neighbours on either side."""
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
