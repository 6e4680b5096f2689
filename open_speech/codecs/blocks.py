"""Decoded blocks at any rate -> one stream at one rate, bounded in length; and the stream -> one Audio."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from open_speech.audio import Audio, StreamResampler
from open_speech.errors import AudioTooLong, InvalidAudio

_FIRST_SECONDS = 30.0
_GAP_PIECE_SECONDS = 10.0
_RATES = range(1000, 768_001)
"""Accepted sample rates in Hertz. A header can declare 1 Hz or 2 GHz, for which the resampler's filter would become too large."""


def too_long(max_seconds: float) -> AudioTooLong:
    """Return the error for audio longer than `max_seconds`."""
    return AudioTooLong(f"The audio is longer than the limit of {max_seconds:g} seconds.", param="file")


@dataclass(frozen=True, slots=True)
class Gap:
    """A stretch of silence that takes no memory until it is part of the stream."""

    seconds: float


class Flow:
    """Resampler of a stream of mono blocks to one rate; the source rate may change from block to block."""

    def __init__(self, rate: int, *, max_seconds: float) -> None:
        """Resample to `rate` Hertz, for up to `max_seconds` of audio."""
        self.max_seconds = max_seconds
        self._rate = rate
        self._seconds = 0.0
        self._emitted = 0
        """Samples returned so far."""
        self._source_rate = 0
        self._resampler: StreamResampler | None = None

    def expect(self, count: int, source_rate: int) -> None:
        """Count the next `count` samples before memory is allocated for them. Raises AudioTooLong, InvalidAudio."""
        if source_rate not in _RATES:
            raise InvalidAudio(f"The file declares an unsupported sample rate of {source_rate} Hz.", param="file")
        self._seconds += count / source_rate
        if self._seconds > self.max_seconds:
            raise too_long(self.max_seconds)

    def feed(self, block: Audio) -> Audio:
        """Resample a block that `expect` has counted; return the samples that are ready."""
        if self._resampler is not None and block.rate == self._source_rate:
            return self._counted(self._resampler.feed(block))
        tail = self.flush()
        self._source_rate = block.rate
        self._resampler = StreamResampler(block.rate, self._rate)
        ready = self._counted(self._resampler.feed(block))
        return Audio(np.concatenate([tail.samples, ready.samples]), self._rate) if len(tail.samples) else ready

    def gap(self, gap: Gap) -> Iterator[Audio]:
        """Yield the silence of a gap in pieces; `expect` has counted the gap, and all audio before it was fed."""
        tail = self.flush()
        yield tail
        left = round(self._seconds * self._rate) - self._emitted
        while left > 0:
            piece = Audio(np.zeros(min(left, round(_GAP_PIECE_SECONDS * self._rate)), np.float32), self._rate)
            left -= len(piece.samples)
            yield self._counted(piece)

    def flush(self) -> Audio:
        """Return the filter's tail; the next block starts a new filter."""
        if self._resampler is None:
            return Audio(np.zeros(0, np.float32), self._rate)
        tail = self._resampler.feed(Audio(np.zeros(0, np.float32), self._source_rate), last=True)
        self._resampler = None
        return self._counted(tail)

    def _counted(self, audio: Audio) -> Audio:
        self._emitted += len(audio.samples)
        return audio


def collect(pieces: Iterable[Audio], rate: int) -> Audio:
    """Concatenate pieces, all at `rate` Hertz.

    The buffer is resized by the allocator (`mremap` for large ones), so a long file never exists twice in memory.
    """
    buffer: NDArray[np.float32] = np.empty(round(_FIRST_SECONDS * rate), np.float32)
    filled = 0
    for piece in pieces:
        end = filled + len(piece.samples)
        if end > len(buffer):
            # `refcheck=False` is safe because no view of the buffer outlives a statement of this function.
            buffer.resize(max(end, len(buffer) * 5 // 4), refcheck=False)
        buffer[filled:end] = piece.samples
        filled = end
    buffer.resize(filled, refcheck=False)
    return Audio(buffer, rate)
