"""Speech detection: Silero's network on onnxruntime, in this process, because a call to a runner for each frame of 32 ms is too slow.

The model is version 6, in the form that takes any number of frames and its recurrent state: the same file serves an hour of audio and a
live stream. Blocking; a second of audio takes about a millisecond.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from onnxruntime import InferenceSession  # noqa: TID251 - for the type checker; the real import is in SpeechModel

VAD_RATE = 16_000
"""Hertz."""
FRAME = 512
"""Samples that get one probability: 32 ms."""
_CONTEXT = 64
"""Samples before a frame that are part of the network's input."""
_STATE_SHAPE = (1, 1, 128)
_SETTLED = 32
"""Frames of digital silence (one second) after which further silent frames skip the network: files may contain hours of silence."""


class SpeechModel:
    """The network, loaded once; safe to use from several threads."""

    def __init__(self, path: Path) -> None:
        """Open the model file. Raises onnxruntime's own errors if the file is not a model."""
        import onnxruntime  # noqa: PLC0415, TID251 - 30 MB that a server without live transcription does not need

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.enable_cpu_mem_arena = False
        self._session: InferenceSession = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])

    def stream(self) -> SpeechProbabilities:
        """Return a speech detector for one audio stream."""
        return SpeechProbabilities(self._session)


class SpeechProbabilities:
    """The speech probabilities of one audio stream, which is fed in pieces of any length."""

    def __init__(self, session: InferenceSession) -> None:
        """Use `SpeechModel.stream` instead."""
        self._session = session
        self._h = np.zeros(_STATE_SHAPE, np.float32)
        self._c = np.zeros(_STATE_SHAPE, np.float32)
        self._context = np.zeros(_CONTEXT, np.float32)
        self._rest = np.zeros(0, np.float32)
        self._silent = 0
        """Frames of digital silence at the end of the stream so far."""

    def feed(self, samples: NDArray[np.float32], *, last: bool = False) -> NDArray[np.float32]:
        """Take samples at VAD_RATE, shape (n,); return the speech probability of each complete frame, shape (m,), in [0, 1].

        With `last`, an incomplete frame is padded with silence.
        """
        waiting = np.concatenate([self._rest, samples]) if len(self._rest) else samples
        count = -(-len(waiting) // FRAME) if last else len(waiting) // FRAME
        if last:
            waiting = np.pad(waiting, (0, count * FRAME - len(waiting)))
        frames = waiting[: count * FRAME].reshape(count, FRAME)
        self._rest = waiting[count * FRAME :].copy()
        if not count:
            return np.zeros(0, np.float32)
        before = np.concatenate([self._context[np.newaxis], frames[:-1, -_CONTEXT:]])
        self._context = frames[-1, -_CONTEXT:].copy()
        evaluated = self._evaluated(frames)
        probabilities = np.zeros(count, np.float32)
        if evaluated.any():
            inputs = {"input": np.concatenate([before, frames], axis=1)[evaluated], "h": self._h, "c": self._c}
            found, self._h, self._c = self._session.run(None, inputs)
            probabilities[evaluated] = np.asarray(found, np.float32).reshape(-1)
        return probabilities

    def _evaluated(self, frames: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Return a mask of the frames for the network: all but those after more than _SETTLED frames of digital silence."""
        places = np.arange(len(frames))
        loud = frames.any(axis=1)
        last_loud = np.maximum.accumulate(np.where(loud, places, -1 - self._silent))
        silent = places - last_loud
        self._silent = int(silent[-1])
        evaluated: NDArray[np.bool_] = silent <= _SETTLED
        return evaluated
