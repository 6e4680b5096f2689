"""CAM++ voiceprints on the CPU, without PyTorch: the network of 3D-Speaker's checkpoint `campplus_cn_en_common.pt` in ONNX Runtime.

CAM++ is a densely connected time-delay network (Wang et al., 2023, arXiv:2303.00332): a two-dimensional convolutional head over 80 mel
features, three blocks of layers whose outputs are concatenated, each layer masked by its context, then mean and standard deviation over
time and one dense layer. The graph is written from the weights when the model is loaded, with batch normalization folded into the
convolution before it where there is one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from open_speech.audio import Audio
from open_speech.errors import WeightsCorrupt
from runners.support.kaldi_fbank import BINS, RATE, centered, log_mel
from runners.support.onnx import cpu_session
from runners.support.onnx_graph import Graph
from runners.support.torch_checkpoint import read_checkpoint

SIZE = 192
"""Numbers in a voiceprint."""
LONGEST_S = 2.0
"""Seconds of the longest window. Up to here, the context of a layer is the mean of the whole window, twice: the network's own segments of
100 frames, of 20 ms each, are at least as long."""
BATCH = 8
"""Windows that are computed at a time."""
_BLOCKS = ((12, 1), (24, 2), (16, 2))
"""Layers and dilation of each block."""
_EPSILON = 1e-5
Weights = Mapping[str, NDArray[Any]]
Prints = NDArray[np.float32]
"""Shape (windows, SIZE)."""


class Campplus:
    """The network, ready for windows of speech. Safe to call from several threads."""

    def __init__(self, path: Path, threads: int) -> None:
        """Load the checkpoint; `threads` 0 chooses. Raises WeightsUnavailable or WeightsCorrupt."""
        try:
            model = network(read_checkpoint(path))
        except KeyError as missing:
            raise WeightsCorrupt(f"The file `{path.name}` of the model lacks {missing}.") from None
        self._session = cpu_session(model, threads)

    def voiceprints(self, windows: Sequence[NDArray[np.float32]]) -> Prints:
        """Return the voiceprint of each window, not normalized, in order.

        A window is mono audio at RATE in [-1, 1], of up to LONGEST_S seconds; the rest of a longer one is ignored.
        """
        features = [centered(log_mel(window[: round(LONGEST_S * RATE)])) for window in windows]
        prints = np.zeros((len(windows), SIZE), np.float32)
        by_length: dict[int, list[int]] = {}
        for at, frames in enumerate(features):
            by_length.setdefault(len(frames), []).append(at)
        for length, places in by_length.items():
            for first in range(0, len(places), BATCH):
                batch = places[first : first + BATCH]
                prints[batch] = self._run(np.stack([features[at] for at in batch]), length)
        return prints

    def _run(self, features: NDArray[np.float32], length: int) -> NDArray[np.float32]:
        pooled = (length + 1) // 2
        correction = np.array([pooled / max(1, pooled - 1)], np.float32)
        (prints,) = self._session.run(None, {"features": features.transpose(0, 2, 1)[:, None], "correction": correction})
        return np.asarray(prints, np.float32)


def cut_out(audio: Audio, windows: Sequence[tuple[float, float]]) -> list[NDArray[np.float32]]:
    """Return the samples of windows of an audio at RATE, in [-1, 1]."""
    samples = np.clip(np.nan_to_num(audio.samples, nan=0.0), -1.0, 1.0)
    return [samples[max(0, round(start * RATE)) : max(0, round(end * RATE))] for start, end in windows]


def network(weights: Weights) -> bytes:
    """Return the network as an ONNX model. Raises KeyError for a missing weight.

    Inputs: `features`, shape (windows, 1, BINS, frames), and `correction`, the factor n / (n - 1) of an unbiased variance, for n frames
    after the first layer, which halves them. Output: shape (windows, SIZE).
    """
    net = _Network(weights)
    pooled = net.blocks(net.head("features"))
    return net.graph.model(pooled, ["windows", SIZE])


class _Network:
    """The layers of the network; names are those of the checkpoint."""

    def __init__(self, weights: Weights) -> None:
        self.graph = Graph({"features": ["windows", 1, BINS, "frames"], "correction": [1]})
        self._weights = weights

    def head(self, value: str) -> str:
        """The two-dimensional part: (windows, 1, BINS, frames) -> (windows, 320, frames)."""
        value = self._relu(self._conv2d(value, "head.conv1", "head.bn1"))
        for layer in ("head.layer1", "head.layer2"):
            for number, stride in ((0, 2), (1, 1)):
                name = f"{layer}.{number}"
                inner = self._relu(self._conv2d(value, f"{name}.conv1", f"{name}.bn1", stride))
                inner = self._conv2d(inner, f"{name}.conv2", f"{name}.bn2")
                direct = self._conv2d(value, f"{name}.shortcut.0", f"{name}.shortcut.1", stride) if stride > 1 else value
                value = self._relu(self.graph.node("Add", inner, direct))
        value = self._relu(self._conv2d(value, "head.conv2", "head.bn2", 2))
        return self.graph.node("Reshape", value, np.array([0, 32 * BINS // 8, -1], np.int64))

    def blocks(self, value: str) -> str:
        """The one-dimensional part, and the dense layer: (windows, 320, frames) -> (windows, SIZE)."""
        graph = self.graph
        value = self._relu(self._conv1d(value, "xvector.tdnn.linear", "xvector.tdnn.nonlinear.batchnorm", pad=2, stride=2))
        for block, (layers, dilation) in enumerate(_BLOCKS, 1):
            for layer in range(1, layers + 1):
                value = graph.node("Concat", value, self._layer(value, f"xvector.block{block}.tdnnd{layer}", dilation), axis=1)
            name = f"xvector.transit{block}"
            value = self._conv1d(self._normed(value, f"{name}.nonlinear.batchnorm"), f"{name}.linear")
        value = self._normed(value, "xvector.out_nonlinear.batchnorm")
        mean = graph.node("ReduceMean", value, axes=[2], keepdims=1)
        apart = graph.node("Sub", value, mean)
        variance = graph.node("ReduceMean", graph.node("Mul", apart, apart), axes=[2], keepdims=1)
        deviation = graph.node("Sqrt", graph.node("Mul", variance, "correction"))
        dense = self._conv1d(graph.node("Concat", mean, deviation, axis=1), "xvector.dense.linear", "xvector.dense.nonlinear.batchnorm")
        return graph.node("Reshape", dense, np.array([0, SIZE], np.int64))

    def _layer(self, value: str, name: str, dilation: int) -> str:
        graph = self.graph
        value = self._conv1d(self._normed(value, f"{name}.nonlinear1.batchnorm"), f"{name}.linear1", f"{name}.nonlinear2.batchnorm")
        value = self._relu(value)
        local = self._conv1d(value, f"{name}.cam_layer.linear_local", pad=dilation, dilation=dilation)
        mean = graph.node("ReduceMean", value, axes=[2], keepdims=1)
        context = self._relu(self._conv1d(graph.node("Add", mean, mean), f"{name}.cam_layer.linear1"))
        mask = graph.node("Sigmoid", self._conv1d(context, f"{name}.cam_layer.linear2"))
        return graph.node("Mul", local, mask)

    def _conv2d(self, value: str, name: str, norm: str, stride: int = 1) -> str:
        weight, bias = self._folded(f"{name}.weight", norm)
        pad = weight.shape[2] // 2
        return self.graph.node("Conv", value, weight, bias, strides=[stride, 1], pads=[pad] * 4)

    def _conv1d(self, value: str, name: str, norm: str = "", *, pad: int = 0, stride: int = 1, dilation: int = 1) -> str:
        if norm:
            weight, bias = self._folded(f"{name}.weight", norm)
        else:
            weight = self._weights[f"{name}.weight"]
            bias = self._weights.get(f"{name}.bias", np.zeros(len(weight), np.float32))
        if weight.ndim == 2:
            weight = weight[:, :, None]
        return self.graph.node("Conv", value, weight, bias, strides=[stride], pads=[pad, pad], dilations=[dilation])

    def _normed(self, value: str, norm: str) -> str:
        """Batch normalization before a convolution, then ReLU."""
        scale, shift = self._scale_and_shift(norm)
        return self._relu(self.graph.node("Add", self.graph.node("Mul", value, scale[:, None]), shift[:, None]))

    def _relu(self, value: str) -> str:
        return self.graph.node("Relu", value)

    def _folded(self, weight: str, norm: str) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return the weights and the bias of a convolution that includes the batch normalization after it."""
        scale, shift = self._scale_and_shift(norm)
        plain = self._weights[weight]
        return np.asarray(plain * scale.reshape(-1, *[1] * (plain.ndim - 1)), np.float32), shift

    def _scale_and_shift(self, norm: str) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        mean, variance = self._weights[f"{norm}.running_mean"], self._weights[f"{norm}.running_var"]
        scale = self._weights.get(f"{norm}.weight", np.float32(1.0)) / np.sqrt(variance + _EPSILON)
        shift = self._weights.get(f"{norm}.bias", np.float32(0.0)) - mean * scale
        return np.asarray(scale, np.float32), np.asarray(shift, np.float32)
