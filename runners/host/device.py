"""Detection of a GPU without a model library, because the front process imports none."""

from __future__ import annotations

import ctypes
import functools


@functools.cache
def has_cuda() -> bool:
    """Return whether the NVIDIA driver is installed and finds at least one device."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return False
    count = ctypes.c_int()
    return driver.cuInit(0) == 0 and driver.cuDeviceGetCount(ctypes.byref(count)) == 0 and count.value > 0
