"""Values -> the bytes of server-sent events, as OpenAI frames them: one `data:` line of JSON, no event name, no `[DONE]`. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

MEDIA_TYPE = "text/event-stream"


def event(data: Mapping[str, Any]) -> bytes:
    """Write one event; JSON escapes every line break, so the data is always one line."""
    return b"data: " + json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode() + b"\n\n"
