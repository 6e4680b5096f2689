"""Kokoro in its original format, on a GPU: the `kokoro` package and `kokoro-v1_0.pth`, with the same voices and the same phonemes."""

from __future__ import annotations

import importlib.util
import pickle
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from open_speech.errors import WeightsCorrupt
from runners.host.device import has_cuda
from runners.support.kokoro_config import config

WEIGHTS = "kokoro-v1_0.pth"


def gpu_for(asked: str, folder: Path) -> str | None:
    """Return the GPU to use (`cuda` or `cuda:N`); None if `asked` is `cpu`, or the GPU, the package or the weights are missing."""
    wanted = asked != "cpu" and has_cuda() and (folder / WEIGHTS).exists()
    installed = importlib.util.find_spec("torch") is not None and importlib.util.find_spec("kokoro") is not None
    if not (wanted and installed):
        return None
    return "cuda" if asked == "auto" else asked


class TorchModel:
    """Kokoro as a PyTorch module, in full precision."""

    def __init__(self, weights: Path, device: str) -> None:
        """Load the weights onto `device`, a device name of torch. Raises WeightsCorrupt."""
        import torch  # noqa: PLC0415, TID251 - every child process imports every runner module
        from kokoro import KModel  # noqa: PLC0415 - as above

        self._torch = torch
        try:
            # With the configuration the package sends no request to the hub.
            model = KModel(repo_id="hexgrad/Kokoro-82M", config=config(), model=str(weights))
        except (RuntimeError, pickle.UnpicklingError, EOFError, AttributeError, AssertionError) as broken:
            raise WeightsCorrupt(f"The file `{weights.name}` of the model cannot be read.") from broken
        self._model = model.to(device).eval()

    def speak(self, phonemes: str, style: NDArray[np.float32], speed: float) -> NDArray[np.float32]:
        """Synthesize at most 510 phonemes of the vocabulary: samples of shape (n,); `style` has shape (510, 1, 256)."""
        with self._torch.inference_mode():
            samples = self._model(phonemes, self._torch.from_numpy(style[len(phonemes) - 1]), speed)
        return np.asarray(samples.numpy(), np.float32).reshape(-1)
