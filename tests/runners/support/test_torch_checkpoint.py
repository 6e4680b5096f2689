"""Checkpoints that are written here, as PyTorch writes them, and files that are none."""

from __future__ import annotations

import pickle
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from open_speech.errors import WeightsCorrupt, WeightsUnavailable
from runners.support.torch_checkpoint import read_checkpoint


class _Name:
    """A global of the pickle, written as text: the module `torch` is not installed."""

    def __init__(self, module: str, name: str) -> None:
        self.line = f"c{module}\n{name}\n".encode()


def tensor(key: str, kind: str, count: int, offset: int, shape: tuple[int, ...], stride: tuple[int, ...]) -> bytes:
    """`torch._utils._rebuild_tensor_v2(storage, offset, shape, stride, False, OrderedDict())` in pickle's text protocol."""

    def numbers(values: tuple[int, ...]) -> bytes:
        return b"(" + b"".join(b"I%d\n" % value for value in values) + b"t"

    ordered = _Name("collections", "OrderedDict").line
    storage = b"(Vstorage\n" + _Name("torch", kind).line + f"V{key}\nVcpu\nI{count}\ntQ".encode()
    arguments = storage + b"I%d\n" % offset + numbers(shape) + numbers(stride) + b"I00\n" + ordered + b"(tR"
    return _Name("torch._utils", "_rebuild_tensor_v2").line + b"(" + arguments + b"tR"


def checkpoint(path: Path, tensors: dict[str, bytes], storages: dict[str, bytes]) -> Path:
    body = b"(d" + b"".join(f"V{name}\n".encode() + data + b"s" for name, data in tensors.items()) + b"."
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", body)
        for key, data in storages.items():
            archive.writestr(f"archive/data/{key}", data)
    return path


def test_tensors_are_read_with_their_shapes_and_strides(tmp_path: Path) -> None:
    numbers = np.arange(12, dtype="<f4")
    path = checkpoint(
        tmp_path / "model.pt",
        {
            "plain": tensor("0", "FloatStorage", 12, 0, (3, 4), (4, 1)),
            "transposed": tensor("0", "FloatStorage", 12, 0, (4, 3), (1, 4)),
            "part": tensor("0", "FloatStorage", 12, 8, (2,), (1,)),
            "count": tensor("1", "LongStorage", 1, 0, (), ()),
        },
        {"0": numbers.tobytes(), "1": np.array([7], "<i8").tobytes()},
    )
    found = read_checkpoint(path)
    assert np.array_equal(found["plain"], numbers.reshape(3, 4))
    assert np.array_equal(found["transposed"], numbers.reshape(3, 4).T)
    assert found["part"].tolist() == [8, 9]
    assert (found["count"].shape, int(found["count"])) == ((), 7)


OUTSIDE = [(0, (13,), (1,)), (11, (2,), (1,)), (0, (3, 4), (5, 1)), (-1, (2,), (1,)), (4, (2,), (-1,))]


@pytest.mark.parametrize(("offset", "shape", "stride"), OUTSIDE)
def test_a_tensor_outside_of_its_storage_is_refused(tmp_path: Path, offset: int, shape: tuple[int, ...], stride: tuple[int, ...]) -> None:
    tensors = {"bad": tensor("0", "FloatStorage", 12, offset, shape, stride)}
    path = checkpoint(tmp_path / "model.pt", tensors, {"0": np.zeros(12, "<f4").tobytes()})
    with pytest.raises(WeightsCorrupt, match=r"model\.pt"):
        read_checkpoint(path)


class _Attack:
    def __reduce__(self) -> tuple[Any, ...]:
        return (print, ("owned",))


def test_a_file_cannot_run_code(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with zipfile.ZipFile(tmp_path / "model.pt", "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(OrderedDict(weight=_Attack())))
    with pytest.raises(WeightsCorrupt):
        read_checkpoint(tmp_path / "model.pt")
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("content", [b"", b"no archive"])
def test_what_is_no_checkpoint_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "model.pt").write_bytes(content)
    with pytest.raises(WeightsCorrupt, match=r"model\.pt"):
        read_checkpoint(tmp_path / "model.pt")
    with pytest.raises(WeightsUnavailable, match=r"other\.pt"):
        read_checkpoint(tmp_path / "other.pt")


def test_a_pickle_without_tensors_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "model.pt", "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps({"weight": 1}))
    with pytest.raises(WeightsCorrupt):
        read_checkpoint(tmp_path / "model.pt")
