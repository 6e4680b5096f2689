"""libopus through ctypes: its concealment of lost packets and its forward error correction, which FFmpeg does not offer.

PyAV, which the server needs anyway, brings the library with it; else that of the system is used. Without either, `load` returns None.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import functools
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from open_speech.webrtc.frames import RATE

LONGEST = RATE * 120 // 1000
"""Samples of the longest packet."""
STEP = RATE // 400
"""The duration of audio without a packet is a multiple of this: 2.5 ms."""


@functools.cache
def load() -> ctypes.CDLL | None:
    """Return libopus; None if it is not here."""
    package = Path(av.__file__).parent
    found = [*package.parent.glob("av.libs/libopus*"), *package.glob(".dylibs/libopus*")]
    for name in (*map(str, found), ctypes.util.find_library("opus")):
        try:
            library = ctypes.CDLL(name) if name else None
        except OSError:
            continue
        if library is not None and hasattr(library, "opus_decode_float"):
            return _declared(library)
    return None


class OpusDecoder:
    """The decoder of one stream, to one channel at RATE."""

    def __init__(self, library: ctypes.CDLL) -> None:
        self._library = library
        error = ctypes.c_int()
        self._state = library.opus_decoder_create(RATE, 1, ctypes.byref(error))
        if not self._state:
            raise MemoryError("libopus has no memory for a decoder")
        self._samples = np.zeros(LONGEST, np.float32)

    def __del__(self) -> None:
        if getattr(self, "_state", None):
            self._library.opus_decoder_destroy(self._state)

    def decode(self, payload: bytes) -> NDArray[np.float32]:
        """Decode a packet; an invalid one is empty."""
        return self._decode(payload, LONGEST, uses_copy=False) if payload else np.zeros(0, np.float32)

    def conceal(self, count: int) -> NDArray[np.float32]:
        """Return `count` samples, a multiple of STEP and at most LONGEST, for audio that is lost."""
        return self._decode(None, count, uses_copy=False)

    def recover(self, payload: bytes, count: int) -> NDArray[np.float32]:
        """Return the `count` samples before a packet from the copy in it. Without a copy, they are concealed."""
        return self._decode(payload, count, uses_copy=True)

    def _decode(self, payload: bytes | None, count: int, *, uses_copy: bool) -> NDArray[np.float32]:
        place = self._samples.ctypes.data_as(ctypes.POINTER(ctypes.c_float))
        size = len(payload) if payload else 0
        decoded = self._library.opus_decode_float(self._state, payload, size, place, count, int(uses_copy))
        return self._samples[: max(0, decoded)].copy()


def _declared(library: ctypes.CDLL) -> ctypes.CDLL:
    library.opus_decoder_create.restype = ctypes.c_void_p
    library.opus_decoder_create.argtypes = (ctypes.c_int32, ctypes.c_int, ctypes.POINTER(ctypes.c_int))
    library.opus_decoder_destroy.restype = None
    library.opus_decoder_destroy.argtypes = (ctypes.c_void_p,)
    library.opus_decode_float.restype = ctypes.c_int
    library.opus_decode_float.argtypes = (
        ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int32, ctypes.POINTER(ctypes.c_float), ctypes.c_int, ctypes.c_int,
    )  # fmt: skip
    return library
