"""The silence around speech: set to a length by the punctuation, so that separately synthesized pieces form a continuous speech. Pure."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from open_speech.audio import Audio

SENTENCE_S = 0.35
CLAUSE_S = 0.15
NONE_S = 0.03
"""Seconds after a piece that ends without a mark: the sentence continues in the next piece, and 0.1 is perceived as a comma."""
_LEAD_S = 0.04
"""Seconds kept before the first loud frame: the breath of an `f` or `h` is too quiet to be detected."""
_FADE_S = 0.005
_FRAME_S = 0.005
_QUIET = 10 ** (-50 / 20)
"""Maximum root mean square of a silent frame, relative to the loudest; at -40 dB the end of a word such as `ship` is lost."""
_CLOSERS = "\"'”’»)]}」』 "


def pause_after(text: str) -> float:
    """Return the seconds of silence after a text, or its phonemes, at normal speed, by its last punctuation mark."""
    mark = text.rstrip(_CLOSERS)[-1:]
    if mark and mark in ".!?…。！？؟।॥":
        return SENTENCE_S
    return CLAUSE_S if mark and mark in ",;:—–，、；：،؛" else NONE_S


def settle(samples: NDArray[np.float32], rate: int, pause_s: float) -> Audio:
    """Cut the silence before speech of shape (n,) to 40 ms and make the silence after it `pause_s` seconds long.

    Both ends are faded over 5 ms, to avoid clicks between pieces; samples are clipped to [-1, 1]. Silence alone is returned unchanged.
    """
    frame = max(1, round(_FRAME_S * rate))
    frames = samples[: len(samples) // frame * frame].reshape(-1, frame)
    loudness = np.sqrt(np.einsum("ij,ij->i", frames, frames) / frame)
    loud = np.flatnonzero(loudness > loudness.max(initial=0.0) * _QUIET)
    if not len(loud):
        return Audio(samples, rate)
    start = max(0, int(loud[0]) * frame - round(_LEAD_S * rate))
    end = (int(loud[-1]) + 1) * frame + round(pause_s * rate)
    kept = np.zeros(end - start, np.float32)
    sound = samples[start:end]
    np.clip(sound, -1.0, 1.0, out=kept[: len(sound)])
    fade = np.linspace(0.0, 1.0, min(round(_FADE_S * rate), len(sound)), dtype=np.float32)
    kept[: len(fade)] *= fade
    kept[len(sound) - len(fade) : len(sound)] *= fade[::-1]
    return Audio(kept, rate)
