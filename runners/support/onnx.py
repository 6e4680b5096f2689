"""ONNX sessions on the CPU, with the same options for all engines."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from open_speech.errors import WeightsCorrupt, WeightsUnavailable

if TYPE_CHECKING:
    from onnxruntime import InferenceSession  # noqa: TID251 - for the type checker only

SPIN_US = "50"
"""Microseconds for which an idle thread spins before it sleeps."""


def cpu_session(model: Path | bytes, threads: int) -> InferenceSession:
    """Open a model file, or a model in memory; `threads` 0 uses up to four of the machine's cores.

    Raises WeightsUnavailable if the file is missing and WeightsCorrupt if it is not a valid model.
    """
    import onnxruntime  # noqa: PLC0415, TID251 - every child process imports every runner module
    from onnxruntime.capi import onnxruntime_pybind11_state as state  # noqa: PLC0415, TID251 - as above

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or min(4, os.cpu_count() or 1)
    # A memory plan for each length of text would never be freed. Kokoro, eleven texts: constant 740 MB without, 1260 MB and rising with.
    options.enable_mem_pattern = False
    # Idle threads that spin take the cores from other runners: Kokoro on two shared cores has a real-time factor of 0.33 with
    # onnxruntime's spinning, 0.16 without. But a thread that sleeps between two operators costs Piper 6 % of its time.
    options.add_session_config_entry("session.intra_op.spin_duration_us", SPIN_US)
    name = f"The file `{model.name}` of the model" if isinstance(model, Path) else "The model"
    try:
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except state.NoSuchFile:
        raise WeightsUnavailable(f"{name} is missing.") from None
    except (state.InvalidProtobuf, state.InvalidGraph, state.InvalidArgument, state.Fail) as broken:
        raise WeightsCorrupt(f"{name} cannot be read.") from broken
