"""The tensors of a PyTorch checkpoint as NumPy arrays, without PyTorch.

A checkpoint is a ZIP archive: `data.pkl` has the names and shapes, and each storage is a file of raw little-endian numbers. The pickle is
read with an allowlist of four names, so a file cannot run code.
"""

from __future__ import annotations

import io
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from open_speech.errors import WeightsCorrupt, WeightsUnavailable

_STORAGES: Mapping[str, str] = {"FloatStorage": "<f4", "LongStorage": "<i8"}
"""The types of numbers that can be read, and their NumPy names."""


def read_checkpoint(path: Path) -> dict[str, NDArray[Any]]:
    """Return the tensors of a checkpoint by name.

    Raises WeightsUnavailable if the file is missing, and WeightsCorrupt if it is not a checkpoint of float32 and int64 tensors.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            (index,) = (name for name in archive.namelist() if name.endswith("/data.pkl"))
            tensors = _Unpickler(archive, index.removesuffix("data.pkl")).load()
    except FileNotFoundError:
        raise WeightsUnavailable(f"The file `{path.name}` of the model is missing.") from None
    except (zipfile.BadZipFile, pickle.UnpicklingError, ValueError, KeyError, TypeError, IndexError, EOFError, AttributeError) as broken:
        raise WeightsCorrupt(f"The file `{path.name}` of the model cannot be read.") from broken
    if not isinstance(tensors, dict) or not all(isinstance(tensor, np.ndarray) for tensor in tensors.values()):
        raise WeightsCorrupt(f"The file `{path.name}` of the model contains no tensors.")
    return dict(tensors)


class _Unpickler(pickle.Unpickler):
    def __init__(self, archive: zipfile.ZipFile, prefix: str) -> None:
        super().__init__(io.BytesIO(archive.read(f"{prefix}data.pkl")))
        self._archive = archive
        self._prefix = prefix
        self._storages: dict[str, NDArray[Any]] = {}

    def find_class(self, module: str, name: str) -> Any:
        """Return what a name in the pickle stands for. Raises UnpicklingError for any name that a plain checkpoint does not have."""
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _tensor
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if module == "torch" and name in _STORAGES:
            return _STORAGES[name]
        raise pickle.UnpicklingError(f"unexpected name {module}.{name}")

    def persistent_load(self, pid: Any) -> NDArray[Any]:
        """Return a storage: its numbers, in one dimension."""
        kind, dtype, key, _device, _count = pid
        if kind != "storage":
            raise pickle.UnpicklingError("unexpected reference")
        if key not in self._storages:
            self._storages[key] = np.frombuffer(self._archive.read(f"{self._prefix}data/{key}"), dtype)
        return self._storages[key]


def _tensor(storage: NDArray[Any], offset: int, shape: Sequence[int], stride: Sequence[int], *_: object) -> NDArray[Any]:
    """Return a tensor: a view of a storage. Raises ValueError if it is not within the storage."""
    last = offset + sum((size - 1) * step for size, step in zip(shape, stride, strict=True))
    if min((offset, *shape, *stride), default=0) < 0 or (0 not in shape and last >= len(storage)):
        raise ValueError("a tensor outside of its storage")
    view: Callable[..., NDArray[Any]] = np.lib.stride_tricks.as_strided
    return view(storage[offset:], shape, [step * storage.itemsize for step in stride], writeable=False)
