"""How loud sound is to an ear, after ITU-R BS.1770-5, for one channel. Pure.

The standard's filter is applied to the spectrum of each 0.1 s, so it is the standard's own at every rate, where a filter made anew for
a rate comes out up to 0.4 LU beside it. Speech at 48 kHz is within 0.01 LU of FFmpeg's `ebur128`, in a third of its time; only a rumble
below 40 Hz that drowns the speech reads up to 1 LU too loud.
"""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

from open_speech.audio import Audio

BLOCK_S, STEP_S = 0.4, 0.1
"""Seconds of the standard's block, and from one block to the next."""
_STEPS = round(BLOCK_S / STEP_S)
_SILENT_LUFS = -70.0
_PAUSE_LU = -10.0
"""The standard's gates: absolute, and relative to what passes the first."""
_OFFSET_LU = -0.691
_FILTER_RATE = 48_000
_FILTERS = (
    ((1.53512485958697, -2.69169618940638, 1.19839281085285), (1.0, -1.69065929318241, 0.73248077421585)),
    ((1.0, -2.0, 1.0), (1.0, -1.99004745483398, 0.99007225036621)),
)
"""Tables 1 and 2 of the standard, at _FILTER_RATE: what a head does to sound, and how little an ear makes of low notes."""
_FAINTEST = 1e-20

Blocks = NDArray[np.float64]
"""Loudness of one block after the other, shape (n,), in LUFS."""


class LoudnessMeter:
    """Measures a mono stream, piece by piece."""

    def __init__(self, rate: int) -> None:
        """Measure pieces at `rate` Hertz."""
        self._rate = rate
        self._weights = _weights(rate, round(STEP_S * rate))
        self._rest = np.zeros(0, np.float32)
        self._powers = np.zeros(0)
        """Of the last steps, as many as the next block reaches back to."""

    def feed(self, audio: Audio) -> Blocks:
        """Give the next piece, get the blocks that end in it; the first 0.3 s of a stream end none.

        Raises ValueError if the piece has another rate than the stream.
        """
        if audio.rate != self._rate:
            raise ValueError(f"stream is at {self._rate} Hz, piece at {audio.rate} Hz")
        step = round(STEP_S * self._rate)
        sound = np.concatenate([self._rest, audio.samples]) if len(self._rest) else audio.samples
        whole = len(sound) // step * step
        self._rest = sound[whole:].copy()
        spectrum = np.fft.rfft(sound[:whole].reshape(-1, step))
        powers = np.concatenate([self._powers, (np.square(spectrum.real) + np.square(spectrum.imag)) @ self._weights])
        self._powers = powers[max(0, len(powers) - _STEPS + 1) :]
        count = max(0, len(powers) - _STEPS + 1)
        means = sum((powers[start : start + count] for start in range(_STEPS)), np.zeros(count)) / _STEPS
        return np.asarray(_OFFSET_LU + 10 * np.log10(np.maximum(means, _FAINTEST)), np.float64)


def integrated(blocks: Blocks) -> float | None:
    """Sum up blocks to the loudness of a programme in LUFS: pauses and silence do not count. None if nothing is left."""
    heard = blocks[blocks > _SILENT_LUFS]
    if not len(heard):
        return None
    return _mean(heard[heard > _mean(heard) + _PAUSE_LU])


def loudness(audio: Audio) -> float | None:
    """Tell the loudness of a whole audio in LUFS; what is shorter than BLOCK_S is measured with silence after it. None for silence."""
    missing = round(BLOCK_S * audio.rate) - len(audio.samples)
    return integrated(LoudnessMeter(audio.rate).feed(Audio(np.pad(audio.samples, (0, max(0, missing))), audio.rate)))


@functools.lru_cache(maxsize=16)
def _weights(rate: int, step: int) -> NDArray[np.float32]:
    """Tell what each line in the spectrum of `step` samples adds to their mean square, heard through the standard's filters.

    Sound above the filters' own band counts like that at its edge.
    """
    lines = np.minimum(np.fft.rfftfreq(step, 1 / rate), _FILTER_RATE / 2)
    delay = np.exp(-2j * np.pi * lines / _FILTER_RATE)
    passed = [np.polyval(above[::-1], delay) / np.polyval(below[::-1], delay) for above, below in _FILTERS]
    weights: NDArray[np.float64] = np.abs(np.prod(passed, axis=0)) ** 2 * 2 / step**2
    weights[0] /= 2  # a line stands for its mirror image too, but for the first one, and the last one of an even number
    if step % 2 == 0:
        weights[-1] /= 2
    return weights.astype(np.float32)


def _mean(blocks: Blocks) -> float:
    """Average by energy."""
    return float(10 * np.log10(np.mean(np.power(10.0, blocks / 10))))
