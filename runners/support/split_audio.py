"""The splitting of a long audio where it is quietest, for backends that process a file without the speech detector. Pure."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from open_speech.audio import Audio

_FRAME_S = 0.1
"""Seconds of a frame for the comparison of loudness: longer than the closure of a `t`, shorter than the pause of a comma."""


def pieces(audio: Audio, longest_s: float) -> Iterator[tuple[float, Audio]]:
    """Yield `(start in seconds, piece)`, no piece longer than `longest_s` (at least a second); no audio yields nothing.

    Each split is at the quietest moment in the last third of the allowed length. The pieces are views, not copies.
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
    """Return the index of the middle of the quietest frame, or of the first of several equally quiet ones."""
    count = len(samples) // frame
    loudness = np.square(samples[: count * frame]).reshape(count, frame).sum(axis=1)
    return int(np.argmin(loudness)) * frame + frame // 2
