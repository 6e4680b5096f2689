"""A streaming decoder for 16-bit WAV files, or their samples alone. Pure."""

from __future__ import annotations

import struct
from collections.abc import Iterator

import numpy as np

from open_speech.audio import Audio, from_pcm16
from open_speech.codecs.wav import UNKNOWN_SIZE, find_pcm16
from open_speech.errors import BackendFailed

LONGEST_HEADER = 4096
"""Bytes within which the samples of a WAV file must begin."""


class WavStream:
    """The decoder of one response. Data that begins with RIFF has a header with its rate; any other data is mono samples."""

    def __init__(self, rate: int) -> None:
        """`rate` is the sample rate in hertz of samples without a header."""
        self._rate = rate
        self._channels = 1
        self._head: bytearray | None = bytearray()
        """The data received before the start of the samples is known; None afterwards."""
        self._rest = b""
        self._left: int | None = None
        """Bytes of samples that have not arrived yet; None if unknown."""

    def feed(self, data: bytes) -> Iterator[Audio]:
        """Yield the samples in the next bytes. Raises BackendFailed for a header that is not of 16-bit PCM."""
        if self._head is not None:
            self._head += data
            if not self._begin(bytes(self._head)):
                return
            data, self._head = bytes(self._head[self._start :]), None
        if self._left is not None:
            data = data[: self._left]  # other chunks may follow
            self._left -= len(data)
        whole = self._rest + data
        step = 2 * self._channels
        cut = len(whole) // step * step
        self._rest = whole[cut:]
        if cut:
            audio = from_pcm16(whole[:cut], self._rate)
            yield audio if self._channels == 1 else Audio(audio.samples.reshape(-1, 2).mean(axis=1, dtype=np.float32), self._rate)

    def close(self) -> None:
        """End the stream. Raises BackendFailed if the header is incomplete, or announced more samples."""
        if self._head or self._left:
            raise BackendFailed("The audio was truncated.")

    def _begin(self, head: bytes) -> bool:
        """Find the start of the samples; False if more bytes are needed."""
        self._start = 0
        if not head.startswith(b"RIFF"[: len(head)]):
            return True
        found = find_pcm16(memoryview(head)) if len(head) > 4 else None
        if found is None:
            if len(head) > LONGEST_HEADER:
                raise BackendFailed("The audio is not a WAV file with 16-bit samples.")
            return False
        self._start, self._rate, self._channels = found.start, found.rate, found.channels
        (size,) = struct.unpack_from("<I", head, found.start - 4)
        # A stream's header was written before its length was known.
        self._left = None if size in (0, UNKNOWN_SIZE) else size
        return True
