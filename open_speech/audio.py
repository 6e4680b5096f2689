"""Audio as a value, and all conversions of samples. Pure: no I/O, no codecs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import soxr
from numpy.typing import NDArray

from open_speech.errors import InvalidAudio

PCM16_SCALE = 32768
"""Scale in both directions, so that PCM16 -> float32 -> PCM16 is exact."""


@dataclass(frozen=True, slots=True)
class Audio:
    """Mono audio with its sample rate."""

    samples: NDArray[np.float32]
    """Shape (n,), mono, nominally in [-1, 1]."""
    rate: int
    """Hertz."""

    @property
    def seconds(self) -> float:
        """Duration in seconds."""
        return len(self.samples) / self.rate


def silence(seconds: float, rate: int) -> Audio:
    """Return `seconds` of silence at `rate` Hertz."""
    return Audio(np.zeros(round(seconds * rate), np.float32), rate)


def from_pcm16(data: bytes, rate: int) -> Audio:
    """Decode little-endian 16-bit mono PCM at `rate` Hertz to shape (len(data) // 2,), in [-1, 1).

    Raises InvalidAudio if `data` ends in half a sample.
    """
    if len(data) % 2:
        raise InvalidAudio("16-bit PCM must have an even number of bytes.", param="file")
    return Audio(np.frombuffer(data, "<i2").astype(np.float32) * np.float32(1 / PCM16_SCALE), rate)


def to_pcm16(audio: Audio) -> bytes:
    """Encode as little-endian 16-bit mono PCM at the audio's own rate; samples beyond [-1, 1) are clipped, NaN becomes 0."""
    scaled = np.rint(np.nan_to_num(audio.samples, nan=0.0, posinf=1.0, neginf=-1.0) * PCM16_SCALE)
    return bytes(np.clip(scaled, -PCM16_SCALE, PCM16_SCALE - 1).astype("<i2").tobytes())


def resample(audio: Audio, rate: int) -> Audio:
    """Convert to `rate` Hertz (soxr, high quality); returns the same object if it already has that rate."""
    if audio.rate == rate:
        return audio
    return Audio(soxr.resample(audio.samples, audio.rate, rate).astype(np.float32, copy=False), rate)


def concat(parts: Iterable[Audio], rate: int) -> Audio:
    """Concatenate parts at `rate` Hertz. Parts with another rate are resampled; no parts give zero samples."""
    pieces = [resample(part, rate).samples for part in parts]
    return Audio(np.concatenate(pieces) if pieces else np.zeros(0, np.float32), rate)


class StreamResampler:
    """A resampler for a stream in chunks. It keeps the state of the filter: no click between chunks, no sample lost."""

    def __init__(self, source_rate: int, rate: int) -> None:
        """Convert from `source_rate` to `rate`, both in Hertz."""
        self.rate = rate
        self._source_rate = source_rate
        self._stream = None if source_rate == rate else soxr.ResampleStream(source_rate, rate, 1, dtype="float32")

    def feed(self, audio: Audio, *, last: bool = False) -> Audio:
        """Resample the next chunk and return the audio that is ready; with `last`, also the tail of the filter.

        Raises ValueError if the chunk does not have the source rate of the stream.
        """
        if audio.rate != self._source_rate:
            raise ValueError(f"stream is at {self._source_rate} Hz, piece at {audio.rate} Hz")
        if self._stream is None:
            return audio
        return Audio(self._stream.resample_chunk(audio.samples, last=last).astype(np.float32, copy=False), self.rate)
