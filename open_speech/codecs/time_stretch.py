"""Faster or slower speech at the same pitch, by FFmpeg's `atempo` filter. Blocking."""

from __future__ import annotations

import math

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.filter import Graph
from numpy.typing import NDArray

from open_speech.audio import Audio
from open_speech.errors import OutOfRange

SLOWEST, FASTEST = 0.25, 4.0
_TAIL_SECONDS = 0.2
"""Silence that flushes the filter, which buffers up to two windows (of 1/24 s) and would drop them."""


def stretch(audio: Audio, factor: float) -> Audio:
    """Return audio that is `factor` times as fast at the same pitch: round(n / factor) samples at the same rate.

    Raises OutOfRange naming `speed` unless `factor` is in [0.25, 4].
    """
    return Stretcher(audio.rate, factor).feed(audio, last=True)


class Stretcher:
    """Tempo change of a stream, piece by piece; in total it returns round(n / factor) samples for n."""

    def __init__(self, rate: int, factor: float) -> None:
        """Stretch pieces at `rate` Hertz. Raises OutOfRange naming `speed` unless `factor` is in [0.25, 4]."""
        if not SLOWEST <= factor <= FASTEST:
            raise OutOfRange(f"speed must be between {SLOWEST} and {FASTEST}.", param="speed")
        self.rate = rate
        self._factor = factor
        self._graph = None if factor == 1.0 else _graph(rate, factor)
        self._given = 0
        self._taken = 0

    def feed(self, audio: Audio, *, last: bool = False) -> Audio:
        """Process the next piece; return the samples that are ready, with `last` all that remain.

        Raises ValueError if the piece has another rate than the stream.
        """
        if audio.rate != self.rate:
            raise ValueError(f"stream is at {self.rate} Hz, piece at {audio.rate} Hz")
        if self._graph is None:
            return audio
        self._given += len(audio.samples)
        self._push(self._graph, audio.samples)
        if last:
            self._push(self._graph, np.zeros(round(_TAIL_SECONDS * self.rate), np.float32))
            self._graph.push(None)
        ready = _pull(self._graph)
        if last:
            missing = max(0, round(self._given / self._factor) - self._taken)
            ready = np.pad(ready[:missing], (0, max(0, missing - len(ready))))
        self._taken += len(ready)
        return Audio(ready, self.rate)

    def _push(self, graph: Graph, samples: NDArray[np.float32]) -> None:
        if len(samples):
            frame = AudioFrame.from_ndarray(np.ascontiguousarray(samples, np.float32)[np.newaxis], "flt", "mono")
            frame.sample_rate = self.rate
            graph.push(frame)


def _graph(rate: int, factor: float) -> Graph:
    """Build a chain of filters of equal tempo, because beyond a factor of 2 a single filter would skip samples."""
    links = max(1, math.ceil(abs(math.log2(factor))))
    graph = Graph()
    nodes = [graph.add_abuffer(sample_rate=rate, format="flt", layout="mono")]
    nodes += [graph.add("atempo", f"{factor ** (1 / links):.9f}") for _ in range(links)]
    nodes.append(graph.add("abuffersink"))
    graph.link_nodes(*nodes).configure()
    return graph


def _pull(graph: Graph) -> NDArray[np.float32]:
    """Return all samples that are ready, shape (n,)."""
    parts: list[NDArray[np.float32]] = []
    while True:
        try:
            frame = graph.pull()
        except (av.BlockingIOError, av.EOFError):
            return np.concatenate(parts) if parts else np.zeros(0, np.float32)
        if isinstance(frame, AudioFrame):
            parts.append(frame.to_ndarray()[0].astype(np.float32, copy=False))
