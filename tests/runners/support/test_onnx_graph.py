"""The models that the writer makes, checked by `onnx` and run."""

from __future__ import annotations

import numpy as np
import pytest

from runners.support.onnx import cpu_session
from runners.support.onnx_graph import Graph

onnx = pytest.importorskip("onnx", reason="needs onnx")
pytest.importorskip("onnxruntime", reason="needs onnxruntime")


def test_a_model_is_valid_and_computes_what_it_says() -> None:
    graph = Graph({"x": ["n", 2, "t"]})
    weight = np.arange(12, dtype=np.float32).reshape(3, 2, 2)
    found = graph.node("Conv", "x", weight, np.ones(3, np.float32), strides=[1], pads=[0, 0], dilations=[1])
    found = graph.node("Reshape", graph.node("ReduceMean", found, axes=[2], keepdims=1), np.array([0, 3], np.int64))
    model = graph.model(graph.node("Elu", found, alpha=0.5), ["n", 3])
    onnx.checker.check_model(onnx.load_from_string(model), full_check=True)
    x = np.random.default_rng(0).standard_normal((4, 2, 6)).astype(np.float32)
    (answer,) = cpu_session(model, 1).run(None, {"x": x})
    windows = np.lib.stride_tricks.sliding_window_view(x, 2, axis=2)
    plain = np.einsum("nctk,ock->not", windows, weight).mean(axis=2) + 1
    assert np.allclose(answer, np.where(plain > 0, plain, 0.5 * (np.exp(plain) - 1)), atol=1e-5)


def test_large_and_negative_numbers_are_written() -> None:
    graph = Graph({"x": [1, 300]})
    model = graph.model(graph.node("Concat", "x", np.zeros((1, 70_000), np.float32), axis=-1), [1, 70_300])
    onnx.checker.check_model(onnx.load_from_string(model), full_check=True)
    (answer,) = cpu_session(model, 1).run(None, {"x": np.ones((1, 300), np.float32)})
    assert answer.shape == (1, 70_300)
    assert answer.sum() == 300
