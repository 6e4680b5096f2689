"""G.711, the codec of telephony: one byte a sample, mu-law and A-law, by tables. Pure.

Encoding uses the decision values of G.711's tables, which at a segment's edge are not half-way between two levels, and complements
negative samples bit by bit, as ITU-T G.191's reference does: every step is a half-open interval. code -> sample -> code is the
identity for all codes but one: mu-law has two zeros, 0xFF and 0x7F ("minus zero"); both mean sample 0, which is encoded as 0xFF.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from open_speech.audio import Audio, from_pcm16, to_pcm16

Law = Literal["mulaw", "alaw"]
"""`mulaw` in North America and Japan (OpenAI's `audio/pcmu`), `alaw` elsewhere (`audio/pcma`)."""

RATE = 8000
"""Sample rate of telephone lines in Hertz."""


def decode(data: bytes, law: Law, rate: int = RATE) -> Audio:
    """Decode one-byte codes at `rate` Hertz to shape (len(data),), in [-1, 1)."""
    return from_pcm16(to_linear(np.frombuffer(data, np.uint8), law).astype("<i2", copy=False).tobytes(), rate)


def encode(audio: Audio, law: Law) -> bytes:
    """Encode at the audio's own rate, one byte a sample; samples beyond [-1, 1) are clipped."""
    return from_linear(np.frombuffer(to_pcm16(audio), "<i2"), law).tobytes()


def to_linear(codes: NDArray[np.uint8], law: Law) -> NDArray[np.int16]:
    """Expand codes to 16-bit samples of the same shape."""
    return _LINEAR[law][codes]


def from_linear(samples: NDArray[np.int16], law: Law) -> NDArray[np.uint8]:
    """Compress 16-bit samples to codes of the same shape."""
    return _CODES[law][samples.astype(np.int16, copy=False).view(np.uint16)]


def _mulaw_linear() -> NDArray[np.int16]:
    inverted = ~np.arange(256, dtype=np.uint8)
    exponent, mantissa = (inverted >> 4 & 7).astype(np.int32), (inverted & 15).astype(np.int32)
    magnitude = ((mantissa * 8 + 132) << exponent) - 132
    return np.where(inverted & 0x80, -magnitude, magnitude).astype(np.int16)


def _alaw_linear() -> NDArray[np.int16]:
    toggled = np.arange(256, dtype=np.uint8) ^ 0x55
    exponent, mantissa = (toggled >> 4 & 7).astype(np.int32), (toggled & 15).astype(np.int32)
    magnitude = np.where(exponent == 0, mantissa * 16 + 8, (mantissa * 16 + 264) << np.maximum(exponent - 1, 0))
    return np.where(toggled & 0x80, magnitude, -magnitude).astype(np.int16)


def _mulaw_codes() -> NDArray[np.uint8]:
    """Return the code of each 16-bit sample, indexed by its bits read as unsigned."""
    negative, magnitude = _sign_and_magnitude()
    biased = np.minimum((magnitude >> 2) + 33, 0x1FFF)
    exponent = _highest_bit(biased) - 5
    mantissa = biased >> (exponent + 1) & 15
    codes: NDArray[np.uint8] = (~(exponent << 4 | mantissa | np.where(negative, 0x80, 0)) & 0xFF).astype(np.uint8)
    return codes


def _alaw_codes() -> NDArray[np.uint8]:
    """Return the code of each 16-bit sample, indexed by its bits read as unsigned."""
    negative, magnitude = _sign_and_magnitude()
    step = magnitude >> 4
    exponent = np.maximum(_highest_bit(np.maximum(step, 1)) - 3, 0)
    mantissa = step >> np.maximum(exponent - 1, 0) & 15
    codes: NDArray[np.uint8] = ((exponent << 4 | mantissa | np.where(negative, 0, 0x80)) ^ 0x55).astype(np.uint8)
    return codes


def _sign_and_magnitude() -> tuple[NDArray[np.bool_], NDArray[np.int32]]:
    samples = np.arange(1 << 16, dtype=np.uint16).view(np.int16).astype(np.int32)
    return samples < 0, np.where(samples < 0, ~samples, samples)


def _highest_bit(values: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return the index of the highest set bit of values in [1, 2**16)."""
    return (np.frexp(values.astype(np.float64))[1] - 1).astype(np.int32)


_LINEAR: dict[Law, NDArray[np.int16]] = {"mulaw": _mulaw_linear(), "alaw": _alaw_linear()}
_CODES: dict[Law, NDArray[np.uint8]] = {"mulaw": _mulaw_codes(), "alaw": _alaw_codes()}
