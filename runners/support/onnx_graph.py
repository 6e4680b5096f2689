"""A writer of ONNX models: a network of a few kinds of operators as the bytes that ONNX Runtime loads.

The package `onnx` has a writer as well, but is not needed to run a model. Field numbers are those of `onnx.proto`, IR version 8,
operator set 17; `tests/runners/support/test_onnx_graph.py` has the result checked by `onnx`.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Attribute = int | float | Sequence[int]

_IR_VERSION, _OPSET = 8, 17
_TYPES: Mapping[str, int] = {"float32": 1, "int64": 7}
"""TensorProto.DataType of NumPy's types."""
_FLOAT, _INT, _INTS = 1, 2, 7
"""AttributeProto.AttributeType."""


class Graph:
    """A network under construction. Values are identified by name; each method returns the name of the new value."""

    def __init__(self, inputs: Mapping[str, Sequence[int | str]]) -> None:
        """`inputs` are float32 tensors; a dimension is a size, or a name for a size that is known only when the model runs."""
        self._inputs = inputs
        self._nodes: list[bytes] = []
        self._constants: list[bytes] = []
        self._count = 0

    def constant(self, array: NDArray[Any]) -> str:
        """Add weights: float32, or int64 for a shape."""
        name = self._name()
        array = np.ascontiguousarray(array)
        dimensions = b"".join(_number(1, size) for size in array.shape)
        raw = array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()
        self._constants.append(dimensions + _number(2, _TYPES[array.dtype.name]) + _data(8, name.encode()) + _data(9, raw))
        return name

    def node(self, operator: str, *inputs: str | NDArray[Any], **attributes: Attribute) -> str:
        """Add an operator; inputs are names of values, or weights."""
        names = [one if isinstance(one, str) else self.constant(one) for one in inputs]
        output = self._name()
        fields = [*(_data(1, name.encode()) for name in names), _data(2, output.encode()), _data(4, operator.encode())]
        self._nodes.append(b"".join([*fields, *(_data(5, _attribute(name, value)) for name, value in attributes.items())]))
        return output

    def model(self, output: str, shape: Sequence[int | str]) -> bytes:
        """Return the model, with one value as its output."""
        graph = b"".join([
            *(_data(1, node) for node in self._nodes),
            _data(2, b"graph"),
            *(_data(5, constant) for constant in self._constants),
            *(_data(11, _value(name, dimensions)) for name, dimensions in self._inputs.items()),
            _data(12, _value(output, shape)),
        ])  # fmt: skip
        return _number(1, _IR_VERSION) + _data(7, graph) + _data(8, _number(2, _OPSET))

    def _name(self) -> str:
        self._count += 1
        return f"v{self._count}"


def _value(name: str, shape: Sequence[int | str]) -> bytes:
    """A ValueInfoProto of a float32 tensor."""
    dimensions = b"".join(_data(1, _data(2, size.encode()) if isinstance(size, str) else _number(1, size)) for size in shape)
    return _data(1, name.encode()) + _data(2, _data(1, _number(1, _TYPES["float32"]) + _data(2, dimensions)))


def _attribute(name: str, value: Attribute) -> bytes:
    head = _data(1, name.encode())
    if isinstance(value, float):
        return head + _key(2, 5) + struct.pack("<f", value) + _number(20, _FLOAT)
    if isinstance(value, int):
        return head + _number(3, value) + _number(20, _INT)
    return head + b"".join(_number(8, one) for one in value) + _number(20, _INTS)


def _data(field: int, data: bytes) -> bytes:
    return _key(field, 2) + _varint(len(data)) + data


def _number(field: int, value: int) -> bytes:
    return _key(field, 0) + _varint(value & 0xFFFF_FFFF_FFFF_FFFF)


def _key(field: int, wire_type: int) -> bytes:
    return _varint(field << 3 | wire_type)


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)
