"""Voiceprints for the speaker labels of live sessions: CAM++ in ONNX Runtime, without PyTorch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from open_speech.audio import Audio
from open_speech.backends import Setup
from open_speech.errors import BackendFailed
from runners.support.campplus import Campplus, cut_out
from runners.wiring.bento_service import Resources, diarize_service

CHECKPOINT = "campplus_cn_en_common.pt"
"""The file of the model."""


class CampplusVoices:
    """Voiceprints with CAM++, on the CPU, in any language."""

    def __init__(self, setup: Setup) -> None:
        """Store the setup; nothing is read before `load`."""
        self._setup = setup
        self._network: Campplus | None = None

    def load(self) -> None:
        """Load the checkpoint. Raises WeightsUnavailable or WeightsCorrupt."""
        self._network = Campplus(self._setup.folder / CHECKPOINT, self._setup.threads)

    def voiceprints(self, audio: Audio, windows: Sequence[tuple[float, float]]) -> NDArray[np.float32]:
        """Return the voiceprint of each window (start and end in seconds), shape (windows, SIZE)."""
        if self._network is None:
            raise BackendFailed("The model is not loaded.")
        return self._network.voiceprints(cut_out(audio, windows))


Runner = diarize_service("campplus", CampplusVoices, Resources(gpu=0, cpu=1, memory="1Gi"))
