"""Turn detection by meaning: the network smart-turn v3.2 on onnxruntime, which decides from audio whether a speaker has finished.

It is Whisper tiny's encoder with one output: the probability that the turn is complete. It needs no transcript.
Blocking: about 65 ms of CPU on one thread, features included.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from open_speech.audio import Audio, resample

if TYPE_CHECKING:
    from onnxruntime import InferenceSession  # noqa: TID251 - for the type checker; the real import is in SmartTurn

RATE = 16_000
"""Hertz."""
LONGEST_S = 8.0
"""Seconds that the network takes: the last ones of a turn."""
COMPLETE = 0.5
"""Probability above which a turn is complete."""
_SAMPLES = round(LONGEST_S * RATE)
_FFT, _HOP = 400, 160
_MELS = 80
_FLOOR = 1e-10
_RANGE = 8.0
"""Powers of ten below the loudest value, at which the spectrogram is cut off."""
_LINEAR_MELS, _HERTZ_PER_MEL = 15.0, 200 / 3
"""Slaney's mel scale is linear up to 15 mel, which is 1000 Hz, and logarithmic above."""
_LOG_STEP = np.log(6.4) / 27


class SmartTurn:
    """The network, loaded once; safe to use from several threads."""

    def __init__(self, path: Path) -> None:
        """Open the model file. Raises onnxruntime's own errors if the file is not a model."""
        import onnxruntime  # noqa: PLC0415, TID251 - 30 MB that a server without live turns does not need

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.enable_cpu_mem_arena = False
        self._session: InferenceSession = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])

    def probability(self, audio: Audio) -> float:
        """Return the probability, in [0, 1], that the turn in the audio is complete.

        `audio` is one turn of one speaker with about half a second before it and the 0.2 s of silence after it: without that silence, the
        network takes a finished sentence for an unfinished one. The last 8 s count.
        """
        samples = resample(audio, RATE).samples
        # The output is called `logits`, but the network ends in a sigmoid.
        (found,) = self._session.run(None, {"input_features": features(samples)[np.newaxis]})
        return float(np.asarray(found).reshape(-1)[0])

    def is_complete(self, audio: Audio) -> bool:
        """Return whether the turn in the audio is complete."""
        return self.probability(audio) > COMPLETE


def features(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Compute the log mel spectrogram of the last 8 s of samples at RATE, shape (n,), in [-1, 1]; return shape (80, 800).

    The input is Whisper's, with two differences that change verdicts without an error if they are missed: shorter audio is padded in front,
    and the padded audio is normalized to mean 0 and variance 1, padding included.
    """
    padded = np.zeros(_SAMPLES)
    tail = samples[-_SAMPLES:]
    padded[_SAMPLES - len(tail) :] = tail
    padded = (padded - padded.mean()) / np.sqrt(padded.var() + 1e-7)
    framed = np.lib.stride_tricks.sliding_window_view(np.pad(padded, _FFT // 2, mode="reflect"), _FFT)[::_HOP][:-1]
    power = np.abs(np.fft.rfft(framed * _window(), axis=1)) ** 2
    mel = np.log10(np.maximum(_filters() @ power.T, _FLOOR))
    return np.asarray((np.maximum(mel, mel.max() - _RANGE) + 4) / 4, np.float32)


@functools.cache
def _window() -> NDArray[np.float64]:
    """Return the periodic Hann window."""
    return np.asarray(0.5 - 0.5 * np.cos(2 * np.pi * np.arange(_FFT) / _FFT), np.float64)


@functools.cache
def _filters() -> NDArray[np.float64]:
    """Return triangular filters on Slaney's mel scale from 0 to 8000 Hz, each of area 1; shape (80, 201)."""
    bins = np.fft.rfftfreq(_FFT, 1 / RATE)
    top = _LINEAR_MELS + np.log(RATE / 2 / 1000) / _LOG_STEP
    mels = np.linspace(0, top, _MELS + 2)
    edges = np.where(mels < _LINEAR_MELS, mels * _HERTZ_PER_MEL, 1000 * np.exp(_LOG_STEP * (mels - _LINEAR_MELS)))
    low, centre, high = edges[:-2, np.newaxis], edges[1:-1, np.newaxis], edges[2:, np.newaxis]
    triangles = np.maximum(0, np.minimum((bins - low) / (centre - low), (high - bins) / (high - centre)))
    return np.asarray(triangles * (2 / (high - low)), np.float64)
