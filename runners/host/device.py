"""Detection of a GPU without a model library, because the front process imports none."""

from __future__ import annotations

import ctypes
import functools


def name_of(device: str) -> str:
    """Return the device that a setting means on this machine: `auto` is `cuda` or `cpu`."""
    return ("cuda" if has_cuda() else "cpu") if device == "auto" else device


@functools.cache
def has_cuda() -> bool:
    """Return whether the NVIDIA driver is installed and finds at least one device."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return False
    count = ctypes.c_int()
    return driver.cuInit(0) == 0 and driver.cuDeviceGetCount(ctypes.byref(count)) == 0 and count.value > 0
