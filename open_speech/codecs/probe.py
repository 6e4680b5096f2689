"""How long a media file says that it is, without decoding any of it. Blocking."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av

_DEMUXERS = ("wav", "mp3", "flac", "ogg", "mov", "matroska")
"""Containers that write their duration, or from whose size it follows."""
_PROBE_BYTES = 1 << 20


def stated_seconds(path: Path) -> float | None:
    """Tell the duration that a file states; None where it states none, or is no media file.

    It is a hint, good for showing progress: whoever made the file wrote it.
    """
    options = {
        "format_whitelist": ",".join(_DEMUXERS),
        "codec_whitelist": "none",  # no decoder looks into the file
        "protocol_whitelist": "none",
        "probesize": str(_PROBE_BYTES),
    }
    try:
        with path.open("rb") as file, av.open(file, "r", container_options=options, metadata_errors="replace", io_open=_refuse) as found:
            return found.duration / av.time_base if found.duration and found.duration > 0 else None
    except (av.FFmpegError, OSError, ValueError):
        return None


def _refuse(url: str, flags: int, options: dict[str, str]) -> Any:
    """Answer a demuxer that wants to open something else."""
    raise PermissionError("a media file may not refer to other files")
