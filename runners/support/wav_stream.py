"""A 16-bit WAV file, or its samples alone, that arrives bit by bit -> Audio. Pure."""

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
    """The bytes of one answer. What begins with RIFF has a header that says its rate; anything else is mono samples already."""

    def __init__(self, rate: int) -> None:
        """`rate`: Hertz of samples that come without a header."""
        self._rate = rate
        self._channels = 1
        self._head: bytearray | None = bytearray()
        """What came before it was known where the samples begin; None from then on."""
        self._rest = b""
        self._left: int | None = None
        """Bytes of samples that are still to come; None if nobody said."""

    def feed(self, data: bytes) -> Iterator[Audio]:
        """Take bytes, give the samples in them. Raises BackendFailed for a header that is not one of 16-bit PCM."""
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
        """Say that no more comes. Raises BackendFailed if the header promised more, or never was whole."""
        if self._head or self._left:
            raise BackendFailed("The audio was truncated.")

    def _begin(self, head: bytes) -> bool:
        """Find where the samples begin; False if more bytes are needed to tell."""
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
