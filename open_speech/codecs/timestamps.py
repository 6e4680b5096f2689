"""Timestamps of decoded frames -> where silence is missing and which samples are duplicates. Pure.

A container states when each frame is played. Decoders return only the frames that exist, so concatenated frames drift from the
container's clock wherever packets are missing: pauses of a call that were not recorded, damaged sections, audio that starts late.
`ffmpeg -af aresample=async=1` fills and trims by the same rules.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

JITTER_S = 0.1
"""Timestamps this close to the end of the audio so far are rounding, the delay of a codec, or jitter of the recorder: FFmpeg's
`min_hard_comp`."""
OVERLAP_S = 1.0
"""A frame that overlaps the audio so far by more starts a new clock, without dropping samples: the file has two recordings."""
RESTART_S = 60.0
"""In a broadcast stream, a jump ahead by more also starts a new clock: streams are joined without rewriting their timestamps."""

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Place:
    """The correction before a frame, in samples at the frame's rate."""

    gap: int = 0
    """Silence to insert."""
    drop: int = 0
    """Samples to remove from the start of the frame, because the audio so far includes them."""


class Clock:
    """Position of each frame of one stream, in order of decoding."""

    def __init__(self, start_s: float | None, *, joined: bool = False) -> None:
        """Set time 0 to `start_s`, the container's start; None starts at the first frame.

        `joined` is for formats whose streams are joined by appending the bytes, such as MPEG-TS: see RESTART_S.
        """
        self._start_s = start_s
        self._joined = joined
        self._base: float | None = None
        self._overlap = 0.0
        """Seconds still to be dropped."""
        self.position_s = 0.0
        """End of the audio so far."""

    def place(self, time_s: float | None, samples: int, rate: int) -> Place:
        """Place a frame of `samples` at `rate` Hertz with the timestamp `time_s`; None continues where the last frame ended."""
        gap = 0 if time_s is None else round(self._ahead(time_s) * rate)
        drop = min(round(self._overlap * rate), samples)
        self._overlap = max(0.0, self._overlap - drop / rate)
        self.position_s += (gap + samples - drop) / rate
        return Place(gap, drop)

    def _ahead(self, time_s: float) -> float:
        """Return the seconds of silence before a frame, and store its overlap in `_overlap`."""
        if self._base is None:
            self._base = time_s if self._start_s is None else min(self._start_s, time_s)
            if time_s - self._base <= JITTER_S or (self._joined and time_s - self._base > RESTART_S):
                self._base = time_s
            return time_s - self._base
        ahead = time_s - self._base - self.position_s
        if abs(ahead + self._overlap) <= JITTER_S:
            return 0.0
        self._overlap = 0.0
        if ahead < -OVERLAP_S or (self._joined and ahead > RESTART_S):
            self._base += ahead
            return 0.0
        self._overlap = max(0.0, -ahead)
        return max(0.0, ahead)


def believable(frames: Iterable[tuple[Item, float | None]]) -> Iterator[tuple[Item, float | None]]:
    """Replace a damaged timestamp by None: one out of order between two neighbours that are in order.

    Reads one frame ahead. A clock that restarts is kept: its frames continue from the new time.
    """
    before: float | None = None
    held: tuple[Item, float | None] | None = None
    for item, time in frames:
        if held is not None:
            judged = _judged(held, before, time)
            before = before if judged[1] is None else judged[1]
            yield judged
        held = item, time
    if held is not None:
        yield held


def _judged(frame: tuple[Item, float | None], before: float | None, after: float | None) -> tuple[Item, float | None]:
    time = frame[1]
    if time is None or before is None or after is None or after < before or before <= time <= after:
        return frame
    return frame[0], None
