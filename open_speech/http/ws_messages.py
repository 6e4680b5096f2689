"""Effects of a session that are sent over its WebSocket, and the encoding of messages. Values, no I/O."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

NORMAL, POLICY, TRY_LATER = 1000, 1008, 1013
"""Close codes: normal end; rejected permanently; rejected temporarily."""


@dataclass(frozen=True, slots=True)
class Send:
    """Send a message after everything that was queued before."""

    message: dict[str, Any]


@dataclass(frozen=True, slots=True)
class SendAudio:
    """Send audio as a binary message."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Close:
    """Close the connection after everything that was queued before."""

    code: int = NORMAL
    reason: str = ""


def written(message: Mapping[str, Any]) -> str:
    """Encode a message as ASCII JSON: UTF-8 cannot encode half a surrogate pair, which a client may send in a name."""
    return json.dumps(message, separators=(",", ":"))
