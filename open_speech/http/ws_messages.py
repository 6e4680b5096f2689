"""What the machine behind a WebSocket wants sent, and how a message is written. Values, no I/O."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

NORMAL, POLICY, TRY_LATER = 1000, 1008, 1013
"""Close codes: all is done; turned away for good; turned away for now."""


@dataclass(frozen=True, slots=True)
class Send:
    """Send a message, after all that was sent before."""

    message: dict[str, Any]


@dataclass(frozen=True, slots=True)
class SendAudio:
    """Send sound, as a binary message."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Close:
    """Close the connection, after all that was sent before."""

    code: int = NORMAL
    reason: str = ""


def written(message: Mapping[str, Any]) -> str:
    """Write a message as JSON, all of it ASCII: half a surrogate pair, which a client may send us in a name, is no UTF-8."""
    return json.dumps(message, separators=(",", ":"))
