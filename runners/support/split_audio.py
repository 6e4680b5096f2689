"""A long audio in pieces that an engine takes, cut where it is quietest. Pure: for the ways that go through a file without the detector."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from open_speech.audio import Audio

_FRAME_S = 0.1
"""The stretch, in seconds, over which loudness is compared: longer than the closure of a `t`, shorter than the pause of a comma."""


def pieces(audio: Audio, longest_s: float) -> Iterator[tuple[float, Audio]]:
    """Yield `(start in seconds, piece)`, no piece longer than `longest_s` (at least a second); no audio yields nothing.

    Each cut is made at the quietest place of the last third that a piece may have. The pieces are views, not copies.
    """
    longest, start = round(longest_s * audio.rate), 0
    while len(audio.samples) - start > longest:
        earliest = start + longest * 2 // 3
        end = earliest + _quietest(audio.samples[earliest : start + longest], round(_FRAME_S * audio.rate))
        yield start / audio.rate, Audio(audio.samples[start:end], audio.rate)
        start = end
    if start < len(audio.samples):
        yield start / audio.rate, Audio(audio.samples[start:], audio.rate)


def _quietest(samples: NDArray[np.float32], frame: int) -> int:
    """Find the middle of the quietest frame, the first of several that are alike."""
    count = len(samples) // frame
    loudness = np.square(samples[: count * frame]).reshape(count, frame).sum(axis=1)
    return int(np.argmin(loudness)) * frame + frame // 2
