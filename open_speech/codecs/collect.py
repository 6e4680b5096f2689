"""Decoded blocks at any rate -> one Audio, in a buffer that grows in place and never beyond the limit."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from open_speech.audio import Audio, StreamResampler
from open_speech.errors import AudioTooLong, InvalidAudio

_FIRST_SECONDS = 30.0
_RATES = range(1000, 768_001)
"""Hertz that a real file may have. A header is free to say 1 Hz or 2 GHz, and would make the resampler's filter explode."""


def too_long(max_seconds: float) -> AudioTooLong:
    """Make the error for audio longer than `max_seconds`."""
    return AudioTooLong(f"The audio is longer than the limit of {max_seconds:g} seconds.", param="file")


class Collector:
    """Resample mono blocks to one rate and lay them end to end.

    The buffer is resized by the allocator (`mremap` for large ones), so a long file never exists twice in memory.
    """

    def __init__(self, rate: int, *, max_seconds: float) -> None:
        """Collect at `rate` Hertz, up to `max_seconds` of audio."""
        self._rate = rate
        self._max_seconds = max_seconds
        self._samples: NDArray[np.float32] = np.empty(round(min(_FIRST_SECONDS, max_seconds) * rate), np.float32)
        self._filled = 0
        self._seconds = 0.0
        self._source_rate = 0
        self._resampler: StreamResampler | None = None

    def expect(self, count: int, source_rate: int) -> None:
        """Account for `count` samples that are about to come, before they cost memory. Raises AudioTooLong, InvalidAudio."""
        if source_rate not in _RATES:
            raise InvalidAudio(f"The audio claims a sample rate of {source_rate} Hz.", param="file")
        self._seconds += count / source_rate
        if self._seconds > self._max_seconds:
            raise too_long(self._max_seconds)

    def add(self, block: Audio) -> None:
        """Append a block that `expect` has accounted for; the rate may change from block to block."""
        if self._resampler is None or block.rate != self._source_rate:
            self._flush()
            self._source_rate = block.rate
            self._resampler = StreamResampler(block.rate, self._rate)
        self._append(self._resampler.feed(block).samples)

    def take(self) -> Audio:
        """Hand over what was collected. Raises InvalidAudio if there is not one sample."""
        self._flush()
        if not self._filled:
            raise InvalidAudio("The file holds no sound.", param="file")
        self._samples.resize(self._filled, refcheck=False)
        return Audio(self._samples, self._rate)

    def _flush(self) -> None:
        """Take the filter's tail out of the resampler that ends here."""
        if self._resampler is not None:
            self._append(self._resampler.feed(Audio(np.zeros(0, np.float32), self._source_rate), last=True).samples)
            self._resampler = None

    def _append(self, samples: NDArray[np.float32]) -> None:
        end = self._filled + len(samples)
        if end > len(self._samples):
            # No view of the buffer outlives a statement of this class: that is what makes `refcheck=False` safe.
            self._samples.resize(max(end, len(self._samples) * 5 // 4), refcheck=False)
        self._samples[self._filled : end] = samples
        self._filled = end
