"""The duration that a media file states, without decoding any of it. Blocking."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av

from open_speech.codecs.formats import STATES_DURATION
from open_speech.codecs.media import stated_end

_PROBE_BYTES = 1 << 20


def stated_seconds(file: Path | int) -> float | None:
    """Return the duration of the audio that a file states; None where it states none, or is no media file.

    A descriptor is closed in the end.

    It is a hint, good for showing progress: whoever made the file wrote it.
    """
    options = {
        "format_whitelist": ",".join(STATES_DURATION),
        "codec_whitelist": "none",  # no decoder looks into the file
        "protocol_whitelist": "none",
        "probesize": str(_PROBE_BYTES),
    }
    try:
        with open(file, "rb") as data, av.open(data, "r", container_options=options, metadata_errors="replace", io_open=_refuse) as found:
            return stated_end(found, next(iter(found.streams.audio), None))
    except (av.FFmpegError, OSError, ValueError):
        return None


def _refuse(url: str, flags: int, options: dict[str, str]) -> Any:
    """Answer a demuxer that wants to open something else."""
    raise PermissionError("a media file may not refer to other files")
