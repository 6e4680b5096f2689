"""The duration that a media file states, without decoding it. Blocking."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av

from open_speech.codecs.formats import STATES_DURATION
from open_speech.codecs.media import stated_end

_PROBE_BYTES = 1 << 20


def stated_seconds(file: Path | int) -> float | None:
    """Return the duration of the audio in seconds as the file states it; None if it states none or is not a media file.

    A descriptor is closed at the end. The duration is untrusted, because it was written by the creator of the file: use it only to
    show progress.
    """
    options = {
        "format_whitelist": ",".join(STATES_DURATION),
        "codec_whitelist": "none",  # no decoder runs
        "protocol_whitelist": "none",
        "probesize": str(_PROBE_BYTES),
    }
    try:
        with open(file, "rb") as data, av.open(data, "r", container_options=options, metadata_errors="replace", io_open=_refuse) as found:
            return stated_end(found, next(iter(found.streams.audio), None))
    except (av.FFmpegError, OSError, ValueError):
        return None


def _refuse(url: str, flags: int, options: dict[str, str]) -> Any:
    """Refuse a demuxer that wants to open another file."""
    raise PermissionError("a media file may not refer to other files")
