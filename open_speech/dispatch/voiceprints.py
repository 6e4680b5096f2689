"""The frame of voiceprints: an array of shape (windows, n) as JSON. Pure."""

from __future__ import annotations

import json

import numpy as np
from numpy.typing import NDArray

from open_speech.dispatch.frames import Frame, Kind

DECIMALS = 6


def voiceprints_frame(prints: NDArray[np.float32]) -> Frame:
    """Pack voiceprints, shape (windows, n)."""
    return Frame(Kind.JSON, json.dumps(prints.astype(np.float64).round(DECIMALS).tolist()).encode())


def voiceprints_of(frame: Frame) -> NDArray[np.float32]:
    """Unpack what `voiceprints_frame` packed."""
    return np.asarray(json.loads(frame.payload), np.float32)
