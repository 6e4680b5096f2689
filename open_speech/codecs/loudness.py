"""How loud sound is to an ear, after ITU-R BS.1770: FFmpeg's `ebur128` filter weighs and measures, here it is gated. Blocking."""

from __future__ import annotations

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.filter import Graph
from numpy.typing import NDArray

from open_speech.audio import Audio

BLOCK_S, STEP_S = 0.4, 0.1
"""Seconds of the standard's block, and from one block to the next."""
_SILENT_LUFS = -70.0
_PAUSE_LU = -10.0
"""The standard's gates: absolute, and relative to what passes the first."""

Blocks = NDArray[np.float64]
"""Loudness of one block after the other, shape (n,), in LUFS."""


class LoudnessMeter:
    """Measures a mono stream, piece by piece."""

    def __init__(self, rate: int) -> None:
        """Measure pieces at `rate` Hertz."""
        self._rate = rate
        self._graph = Graph()
        source = self._graph.add_abuffer(sample_rate=rate, format="flt", layout="mono")
        self._graph.link_nodes(source, self._graph.add("ebur128", "metadata=1:framelog=quiet"), self._graph.add("abuffersink")).configure()

    def feed(self, audio: Audio) -> Blocks:
        """Give the next piece, get the blocks that end in it; the first 0.3 s of a stream have none that counts.

        Raises ValueError if the piece has another rate than the stream.
        """
        if audio.rate != self._rate:
            raise ValueError(f"stream is at {self._rate} Hz, piece at {audio.rate} Hz")
        found: list[float] = []
        if len(audio.samples):
            frame = AudioFrame.from_ndarray(np.ascontiguousarray(audio.samples, np.float32)[np.newaxis], "flt", "mono")
            frame.sample_rate = self._rate
            self._graph.push(frame)
            while True:
                try:
                    found.append(float(self._graph.pull().metadata["lavfi.r128.M"]))
                except (av.BlockingIOError, av.EOFError):
                    break
        return np.array(found, np.float64)


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


def _mean(blocks: Blocks) -> float:
    """Average by energy."""
    return float(10 * np.log10(np.mean(np.power(10.0, blocks / 10))))
