from __future__ import annotations

import numpy as np
import pytest

from open_speech.audio import Audio
from open_speech.backends import REFERENCE_RATE


@pytest.fixture
def murmur() -> Audio:
    """Two seconds of low noise at REFERENCE_RATE."""
    return Audio(np.random.default_rng(7).uniform(-0.3, 0.3, 2 * REFERENCE_RATE).astype(np.float32), REFERENCE_RATE)
