"""Conversion of raw audio to mono samples: widths of 1 to 4 bytes, up to 8 channels, split anywhere. Pure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from open_speech.audio import Audio, from_pcm16
from open_speech.errors import OutOfRange

RATES = (4_000, 192_000)
"""Hertz, lowest and highest."""
WIDTHS = (1, 4)
CHANNELS = (1, 8)


@dataclass(frozen=True, slots=True)
class PcmFormat:
    """The format of raw audio: little-endian integers, signed except those of 1 byte, channels interleaved."""

    rate: int
    """Hertz."""
    width: int
    """Bytes of one sample."""
    channels: int

    def __post_init__(self) -> None:
        """Raises OutOfRange naming the field."""
        for name, (low, high) in (("rate", RATES), ("width", WIDTHS), ("channels", CHANNELS)):
            if not low <= getattr(self, name) <= high:
                raise OutOfRange(f"{name} must be between {low} and {high}, not {getattr(self, name)}.", param=name)


class PcmReader:
    """A decoder of one stream of raw audio, piece by piece; a sample that is split between two pieces is joined."""

    def __init__(self, form: PcmFormat) -> None:
        self._form = form
        self._rest = b""

    def feed(self, data: bytes) -> Audio:
        """Decode the next bytes to shape (frames,), in [-1, 1): the mean of the channels. An incomplete frame waits for the next bytes."""
        data = self._rest + data
        whole = len(data) - len(data) % (self._form.width * self._form.channels)
        self._rest = data[whole:]
        samples = _samples(data[:whole], self._form)
        if self._form.channels > 1:
            samples = samples.reshape(-1, self._form.channels).mean(axis=1, dtype=np.float32)
        return Audio(samples, self._form.rate)


def _samples(data: bytes, form: PcmFormat) -> NDArray[np.float32]:
    match form.width:
        case 1:
            return (np.frombuffer(data, np.uint8).astype(np.float32) - np.float32(128)) / np.float32(128)
        case 2:
            return from_pcm16(data, form.rate).samples
        case 3:
            # As the three upper bytes of 32-bit integers.
            octets = np.zeros((len(data) // 3, 4), np.uint8)
            octets[:, 1:] = np.frombuffer(data, np.uint8).reshape(-1, 3)
            return octets.view("<i4").ravel().astype(np.float32) / np.float32(1 << 31)
        case _:
            return np.frombuffer(data, "<i4").astype(np.float32) / np.float32(1 << 31)
