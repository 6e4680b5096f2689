"""WAV as bytes: a writer of headers, and a reader for the one format that needs no codec (16-bit PCM)."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from open_speech.audio import Audio, to_pcm16

UNKNOWN_SIZE = 0xFFFFFFFF
"""Value of both size fields of a stream whose length is not known; every player then reads up to the end of the file."""

_HEADER = struct.Struct("<4sI4s4sIHHIIHH4sI")
HEADER_BYTES = _HEADER.size
"""Length of the header that `wav_header` returns."""
_FORMAT = struct.Struct("<HHIIHH")
_CHUNK = struct.Struct("<4sI")
_PCM = 1
_EXTENSIBLE = 0xFFFE
_PCM_SUBFORMAT = bytes.fromhex("0100000000001000800000aa00389b71")


def wav_header(rate: int, data_bytes: int | None = None) -> bytes:
    """Return the 44-byte header of 16-bit mono PCM at `rate` Hertz; `data_bytes` None means a stream of unknown length."""
    data_size = UNKNOWN_SIZE if data_bytes is None else data_bytes
    riff_size = UNKNOWN_SIZE if data_bytes is None else data_bytes + _HEADER.size - _CHUNK.size
    return _HEADER.pack(b"RIFF", riff_size, b"WAVE", b"fmt ", _FORMAT.size, _PCM, 1, rate, rate * 2, 2, 16, b"data", data_size)


def with_true_sizes(head: bytes, total: int) -> bytes:
    """Return the beginning of a file of `total` bytes, with true sizes if it is a header of `wav_header` with unknown length.

    Any other beginning is returned unchanged, as is that of a file too large for the header's 32 bits.
    """
    if len(head) < HEADER_BYTES or head[:4] != b"RIFF" or not HEADER_BYTES <= total < UNKNOWN_SIZE:
        return head
    *_, rate, _, _, _, name, size = _HEADER.unpack_from(head)
    if name != b"data" or size != UNKNOWN_SIZE:
        return head
    return wav_header(rate, total - HEADER_BYTES) + head[HEADER_BYTES:]


def wav_bytes(audio: Audio) -> bytes:
    """Return a whole 16-bit mono WAV file with true sizes, at the audio's own rate."""
    data = to_pcm16(audio)
    return wav_header(audio.rate, len(data)) + data


@dataclass(frozen=True, slots=True)
class Pcm16:
    """Position of the samples in a 16-bit PCM WAV file."""

    rate: int
    """Hertz."""
    channels: int
    start: int
    """Offset of the first sample, in bytes."""
    frames: int
    """Number of samples per channel that the file contains, whatever its header states."""


def find_pcm16(data: memoryview) -> Pcm16 | None:
    """Locate the samples of a mono or stereo 16-bit PCM WAV file; None for any other file, which FFmpeg decodes.

    Stated sizes are not trusted: a stream's header states 0 or 0xFFFFFFFF, a truncated file's header more than the file contains.
    """
    if bytes(data[:4]) != b"RIFF" or bytes(data[8:12]) != b"WAVE":
        return None
    shape: tuple[int, int] | None = None
    at = 12
    while at + _CHUNK.size <= len(data):
        name, size = _CHUNK.unpack_from(data, at)
        at += _CHUNK.size
        if name == b"fmt ":
            shape = _pcm16_shape(data[at : at + size])
        elif name == b"data":
            if shape is None:
                return None
            available = len(data) - at
            used = available if size in (0, UNKNOWN_SIZE) else min(size, available)
            return Pcm16(rate=shape[0], channels=shape[1], start=at, frames=used // (2 * shape[1]))
        at += size + size % 2
    return None


def _pcm16_shape(fmt: memoryview) -> tuple[int, int] | None:
    """Return (rate, channels) of a format chunk if it is 16-bit PCM of one or two channels, else None."""
    if len(fmt) < _FORMAT.size:
        return None
    tag, channels, rate, _, block, bits = _FORMAT.unpack_from(fmt)
    pcm = tag == _PCM or (tag == _EXTENSIBLE and bytes(fmt[24:40]) == _PCM_SUBFORMAT)
    return (rate, channels) if pcm and bits == 16 and channels in (1, 2) and block == 2 * channels else None
