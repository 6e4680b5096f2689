"""The options of a runner process."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class HostOptions:
    """The options of a runner process, from the settings."""

    device: str = "auto"
    compute_type: str = "auto"
    model_threads: int = 0
    ttl_s: float = 300.0
    limit: int = 0
    settings: Mapping[str, Any] = field(default_factory=dict)
    """The settings for this backend alone."""
    rest_s: float = 0.0
    """Seconds without a loaded model and a call after which the process ends, because it starts again at its next use; 0: it stays."""
    heartbeat_s: float = 1.0
    """Seconds between progress frames while a model is downloaded and loaded: the caller's deadline restarts with each frame."""
