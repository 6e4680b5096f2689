"""The network of the voiceprints: the numbers that PyTorch computes from the same checkpoint."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from open_speech.audio import Audio
from open_speech.errors import WeightsCorrupt
from runners.campplus import CHECKPOINT
from runners.support.campplus import BATCH, LONGEST_S, SIZE, Campplus, cut_out, network
from tests.runners.support.test_torch_checkpoint import checkpoint, tensor

pytest.importorskip("onnxruntime", reason="needs onnxruntime")

FROM_PYTORCH = {
    4_000: (-1.2990, -0.0066, 0.4061, -1.4467, -1.0137, 1.2377),
    24_000: (-1.3115, -0.4077, 0.7768, -1.0327, -0.8997, 1.0436),
    32_000: (-1.3092, -0.4533, 0.7690, -1.0784, -0.9549, 1.2138),
}
"""The first numbers of the voiceprint of so many samples of noise, by 3D-Speaker's classes in PyTorch 2.13."""


@pytest.fixture(scope="module")
def voices(model_folder: Callable[[str], Path]) -> Campplus:
    return Campplus(model_folder("campplus") / CHECKPOINT, threads=1)


@pytest.mark.weights
def test_the_voiceprints_are_those_of_pytorch(voices: Campplus) -> None:
    noise = np.random.default_rng(0).normal(0, 0.05, 32_000).astype(np.float32)
    prints = voices.voiceprints([noise[:count] for count in FROM_PYTORCH])
    assert prints.shape == (len(FROM_PYTORCH), SIZE)
    assert np.allclose(prints[:, :6], list(FROM_PYTORCH.values()), atol=2e-3)


@pytest.mark.weights
def test_windows_of_any_number_and_length_keep_their_order(voices: Campplus) -> None:
    noise = np.random.default_rng(1).normal(0, 0.05, 40_000).astype(np.float32)
    windows = [noise[: 8000 + 1600 * (number % 3)] for number in range(3 * BATCH + 1)]
    prints = voices.voiceprints([*windows, noise])
    assert np.allclose(prints[0], prints[3], atol=1e-4)
    assert not np.allclose(prints[0], prints[1], atol=1e-2)
    assert np.allclose(prints[-1], voices.voiceprints([noise[: round(LONGEST_S * 16_000)]])[0], atol=1e-4), "the rest is ignored"


def test_a_checkpoint_without_the_weights_is_refused(tmp_path: Path) -> None:
    path = checkpoint(tmp_path / "model.pt", {"other": tensor("0", "FloatStorage", 1, 0, (1,), (1,))}, {"0": bytes(4)})
    with pytest.raises(WeightsCorrupt, match=r"model\.pt.*lacks 'head\."):
        Campplus(path, 1)
    with pytest.raises(KeyError):
        network({})


def test_windows_are_cut_out_within_the_audio() -> None:
    audio = Audio(np.array([0.5] * 16_000 + [np.nan] * 8_000 + [7.0] * 8_000, np.float32), 16_000)
    first, second, beyond = cut_out(audio, [(-1.0, 0.5), (1.25, 1.75), (3.0, 4.0)])
    assert (len(first), len(beyond)) == (8_000, 0)
    assert second.tolist() == [0.0] * 4_000 + [1.0] * 4_000
