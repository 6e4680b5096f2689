"""Is there a GPU? Asked without importing a model library: the front process has none."""

from __future__ import annotations

import ctypes
import functools


@functools.cache
def has_cuda() -> bool:
    """Tell whether the NVIDIA driver is here and sees at least one device."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return False
    count = ctypes.c_int()
    return driver.cuInit(0) == 0 and driver.cuDeviceGetCount(ctypes.byref(count)) == 0 and count.value > 0
